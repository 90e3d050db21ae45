"""tools/compare_backbones.py: what it measures, and what it refuses to."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.tools.commands import REPOSITORY, call, error_line, run

ONE_STEP = ('--arch', 'tiny', '--sizes', 64, '--rounds', 1, '--warm-up', 0, '--threads', 1)


@pytest.fixture(autouse=True)
def tools_folder(monkeypatch):
    """In front of the search path, as it is for a script that lies there."""
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))


@pytest.fixture
def tool():
    return importlib.import_module('compare_backbones')


def change(monkeypatch, peer, **changes):
    """Replace fields of a peer's case by what functions make of the present ones."""
    cases = importlib.import_module('peers').CASES
    make = cases[peer]

    def changed(*sizes):
        case = make(*sizes)
        return case._replace(**{name: function(getattr(case, name)) for name, function in changes.items()})

    monkeypatch.setitem(cases, peer, changed)


def rows_of(ended):
    assert ended.code == 0, ended.err
    return [row.strip('| ').split(' | ') for row in ended.out.splitlines() if row.startswith('| ')][1:]


@pytest.mark.parametrize(
    'options, peers', [((), ['vitdet', 'mmseg']), (('--attention', '--dtype', 'bfloat16'), ['global', 'windows'])]
)
def test_every_row_is_measured(options, peers, tmp_path):
    arguments = (*ONE_STEP, *options, '--json', tmp_path / 'table.json')
    # A process in which a GPU has computed gradients cannot be forked; one that does nothing else than this can.
    ended = (
        run('compare_backbones.py', *arguments) if torch.cuda.is_available() else call('compare_backbones', *arguments)
    )
    rows = rows_of(ended)
    assert [row[:3] for row in rows] == [[peer, '64', mode] for peer in peers for mode in ('train', 'test')]
    assert ended.out.count(' at 64: maps differ by ') == len(peers)
    for row, kept in zip(rows, json.loads((tmp_path / 'table.json').read_text())['rows']):
        assert len(row) == 9 and all(float(cell) >= 0 for cell in row[3:] if cell)
        for side, column in (('ours', 3), ('theirs', 4)):
            assert kept[side]['s'] > 0 and kept[side]['weights_GB'] > 0 and row[column] == f'{kept[side]["s"]:.3f}'
            assert row[column + 3] == f'{kept[side]["weights_GB"] + kept[side]["step_GB"]:.2f}'
        assert float(row[5]) == pytest.approx(kept['ours']['s'] / kept['theirs']['s'], abs=0.006)


def harm_weight(weights):
    with torch.no_grad():
        next(value for name, value in weights.items() if 'rel' in name and '3' in name)[0] += 0.5


def harm_gradient(weights):
    next(value for name, value in weights.items() if 'rel' in name and '3' in name).register_hook(
        lambda slope: 1.01 * slope
    )


def stop_training(weights):
    weights.popitem()[1].requires_grad_(False)


@pytest.mark.parametrize('peer', ['vitdet', 'mmseg'])
@pytest.mark.parametrize(
    'harm, words',
    [
        (None, None),
        (harm_weight, 'computes something else'),
        (harm_gradient, 'computes something else'),
        (stop_training, 'trains other weights'),
    ],
)
def test_only_the_same_work_is_timed(peer, harm, words, tool, monkeypatch, capsys):
    def harmed(build):
        def theirs():
            model = build()
            if harm:
                harm(dict(model.named_parameters()))
            return model

        return theirs

    change(monkeypatch, peer, theirs=harmed)
    arguments = peer, 64, SimpleNamespace(arch='tiny', device='cpu'), lambda function, *values: function(*values)
    if harm is None:
        return tool.check(*arguments)
    with pytest.raises(tool.UserError, match=words):
        tool.check(*arguments)


class Greedy(nn.Module):
    """Takes 300 MB for a moment."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))
        torch.empty(1_000_000_000)  # 4 GB of addresses, given back before the step begins

    def forward(self, images):
        return (self.weight.sum() * torch.ones(75_000_000)[:1],)


def measured(tool, monkeypatch, limit, build=lambda old: Greedy):
    change(monkeypatch, 'vitdet', theirs=build)
    args = SimpleNamespace(arch='tiny', device='cpu', dtype=torch.float32, batch=1, memory_limit=limit)
    return tool.in_new_process(tool.guarded, tool.peak, 'vitdet', 64, 'test', 'theirs', args)


def test_memory_is_the_weights_and_what_the_step_adds(tool, monkeypatch):
    kept = [torch.ones(2_000_000) for _ in range(60)]
    del kept[:-1]  # memory that malloc may hold back, as below one that is still held
    weights, added = measured(tool, monkeypatch, 100)
    assert weights == 4000 and added == pytest.approx(300e6, rel=0.02)


def test_memory_that_is_not_there_is_told_in_the_row(tool, monkeypatch):
    tool.import_peer('vitdet')
    limit = round(tool.in_new_process(tool.resident)['VmRSS'] / 1e9 + 0.55, 3)  # the greedy one asks for 4
    with pytest.raises(MemoryError):
        measured(tool, monkeypatch, limit)
    ended = call('compare_backbones', *ONE_STEP, '--peers', 'vitdet', '--memory-limit', limit)
    assert 'vitdet at 64: not compared, does not fit' in ended.out
    for row in rows_of(ended):
        assert (
            row[4] == row[7] == f'does not fit in {limit:g} GB'
            and min(float(row[3]), float(row[6])) > 0
            and row[5] == ''
        )


def test_a_process_that_the_system_ends_did_not_fit(tool):
    with pytest.raises(MemoryError):
        tool.in_new_process(lambda: tool.signal.raise_signal(tool.signal.SIGKILL))


def test_a_mistake_is_not_taken_for_memory(tool, monkeypatch, capfd):
    def mistaken(old):
        return lambda: torch.zeros(2) + torch.zeros(3)

    with pytest.raises(RuntimeError, match='ended with exit code 1'):
        measured(tool, monkeypatch, 100, mistaken)
    assert 'must match the size' in capfd.readouterr().err


@pytest.mark.parametrize(
    'options, words',
    [
        (['--peers', 'vitdet', 'detectron'], "--peers: unknown peer 'detectron'; choose of vitdet, mmseg"),
        (['--sizes', 512, 1000], '--sizes: 1000 is no multiple of the patch, 16'),
        (['--rounds', 0], '--batch, --rounds and --threads must be 1 at least'),
        (
            ['--peers', 'vitdet'],
            "peer 'vitdet' needs the package its-package: pip install its-package, or name other --peers",
        ),
        pytest.param(
            ['--device', 'cuda'],
            'PyTorch finds no GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is one'),
        ),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(options, words, monkeypatch):
    monkeypatch.setitem(importlib.import_module('peers').PACKAGES, 'vitdet', ('not_there', 'its-package'))
    ended = call('compare_backbones', '--arch', 'tiny', *options)
    assert words in error_line(ended) and not ended.out


def test_without_its_package_a_peer_can_be_left_out(monkeypatch):
    monkeypatch.setitem(importlib.import_module('peers').PACKAGES, 'vitdet', ('not_there', 'its-package'))
    module = importlib.import_module('compare_backbones')
    monkeypatch.setattr(sys, 'argv', ['compare_backbones.py', '--peers', 'mmseg'])
    assert module.parse_args().peers == ['mmseg']
