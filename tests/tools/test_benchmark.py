"""tools/benchmark.py: which part does what, and all of them in one command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mae_transfer.benchmarks import compare_backbones, compare_pretraining, measure_cost, peers
from tests.tools.commands import call, error_line


@pytest.mark.parametrize(
    'part, options, module, wanted',
    [
        ('detect', ['--device', 'cpu'], compare_backbones, dict(peers=['vitdet'], sizes=[1024], arch='base')),
        ('segment', ['--compile'], compare_backbones, dict(peers=['mmseg'], sizes=[512], compile=True)),
        ('segment', ['--sizes', '64'], compare_backbones, dict(peers=['mmseg'], sizes=[64])),
        ('backbones', ['--attention'], compare_backbones, dict(peers=['global', 'windows'], sizes=[512, 1024])),
        ('cost', ['a.py', '--flops-only'], measure_cost, dict(configs=['a.py'], flops_only=True)),
        ('pretrain', ['--peers', 'plain', '--arch', 'large'], compare_pretraining, dict(arch='large', batch=8)),
    ],
)
def test_a_part_has_its_own_options(part, options, module, wanted, monkeypatch):
    found = []
    monkeypatch.setattr(module, 'run', found.append)
    ended = call('benchmark', part, *options)
    assert ended.code == 0, ended.err
    assert wanted.items() <= vars(found[0]).items()


def test_a_part_without_its_package_says_so(monkeypatch):
    monkeypatch.setitem(peers.PACKAGES, 'vitdet', ('not_there', 'its-package'))
    assert "peer 'vitdet' needs the package its-package" in error_line(call('benchmark', 'detect'))
    monkeypatch.setattr(compare_backbones, 'run', lambda args: print(args.peers))
    ended = call('benchmark', 'backbones')
    assert ended.code == 0 and ended.out.splitlines()[0].startswith("left out: peer 'vitdet' needs the package")
    assert ended.out.splitlines()[1] == "['mmseg']"


def test_all_runs_every_part_with_the_options_that_it_has(tmp_path, monkeypatch):
    commands = []

    def run(command, check):
        commands.append(command[2:-2])
        if command[2] != 'segment':
            Path(command[-1]).write_text(json.dumps(dict(part=command[2])))
        return SimpleNamespace(returncode=int(command[2] == 'segment'))

    monkeypatch.setattr('subprocess.run', run)
    options = ('--arch', 'tiny', '--images', 'photos', '--rounds', 3, '--compile', '--json', tmp_path / 'all.json')
    ended = call('benchmark', 'all', *options)
    assert error_line(ended) == 'error: segment failed: the line of each is above'
    assert commands == [
        ['pretrain', '--compile', '--arch', 'tiny', '--rounds', '3'],
        ['data', '--rounds', '3', '--images', 'photos'],
        ['detect', '--compile', '--arch', 'tiny', '--rounds', '3'],
        ['segment', '--compile', '--arch', 'tiny', '--rounds', '3'],
    ]
    assert json.loads((tmp_path / 'all.json').read_text()) == {
        part: dict(part=part) for part in ('pretrain', 'data', 'detect')
    }
