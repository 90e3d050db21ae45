"""tools/compare_backbones.py: what it measures, and which options it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from mae_transfer.benchmarks import peers
from mae_transfer.benchmarks.backbones import Measurement, Setup
from mae_transfer.benchmarks.compare_backbones import RATIO_HEAD, ratio_row
from mae_transfer.benchmarks.processes import memory_status, run_in_new_process
from tests.benchmarks.test_backbones import Memory, change_case
from tests.tools.commands import call, error_line, run

ONE_STEP = ('--arch', 'tiny', '--sizes', 64, '--rounds', 1, '--warm-up', 0, '--threads', 1)


def rows_of(ended):
    assert ended.code == 0, ended.err
    return [row.strip('| ').split(' | ') for row in ended.out.splitlines() if row.startswith('| ')][1:]


@pytest.mark.parametrize(
    'options, compared',
    [
        ((), ['vitdet', 'mmseg']),
        pytest.param(('--attention', '--dtype', 'bfloat16'), ['global', 'windows'], marks=pytest.mark.slow),
    ],
)
def test_every_row_is_measured(options, compared, tmp_path):
    arguments = (*ONE_STEP, *options, '--json', tmp_path / 'new' / 'table.json')
    # A process in which a GPU has computed gradients, as in other tests, cannot be forked: start a new one.
    ended = (
        run('compare_backbones.py', *arguments) if torch.cuda.is_available() else call('compare_backbones', *arguments)
    )
    rows = rows_of(ended)
    assert [row[:3] for row in rows] == [[peer, '64', mode] for peer in compared for mode in ('train', 'test')]
    assert ended.out.count(' at 64: maps differ by ') == len(compared)
    for row, kept in zip(rows, json.loads((tmp_path / 'new' / 'table.json').read_text())['rows']):
        assert [kept['peer'], str(kept['size']), kept['mode']] == row[:3]
        assert len(row) == 9 and all(float(cell) >= 0 for cell in row[3:] if cell)
        for side, column in (('ours', 3), ('theirs', 4)):
            assert kept[side]['s'] > 0 and kept[side]['weights_GB'] > 0 and row[column] == f'{kept[side]["s"]:.3f}'
            assert row[column + 3] == f'{kept[side]["weights_GB"] + kept[side]["step_GB"]:.2f}'
        assert float(row[5]) == pytest.approx(kept['ours']['s'] / kept['theirs']['s'], abs=0.006)


def test_ratios_above_one_where_ours_is_better():
    setup = Setup('tiny', batch=2)
    times = (dict(all_s=[0.2, 0.4, 0.2], GB=2.0), dict(all_s=[0.4, 0.4, 0.6], GB=3.0))
    row = ratio_row(Measurement('vitdet', 64, 'train', *times), setup)
    assert row == '| vitdet | 64 | train | 0.2 | 0.4 | 2.00 (1.00 to 3.00) | 10 | 5 | 2 | 3 | 1.50 |'
    row = ratio_row(Measurement('vitdet', 64, 'test', times[0]), setup)
    assert row == '| vitdet | 64 | test | 0.2 | does not fit |  | 10 |  | 2 |  |  |'
    assert row.count('|') == len(RATIO_HEAD) + 1


def test_a_peer_that_does_not_fit_into_memory_is_reported_in_its_row(monkeypatch):
    peers.import_peer('vitdet')
    change_case(monkeypatch, 'vitdet', theirs=lambda build: Memory)
    limit = round(run_in_new_process(memory_status)['VmRSS'] / 1e9 + 0.55, 3)  # the peer asks for 4
    ended = call('compare_backbones', *ONE_STEP, '--peers', 'vitdet', '--memory-limit', limit)
    assert 'vitdet at 64: not compared, does not fit' in ended.out
    for row in rows_of(ended):
        assert row[4] == row[7] == f'does not fit in {limit:g} GB'
        assert min(float(row[3]), float(row[6])) > 0 and row[5] == ''


def test_a_peer_that_computes_something_else_ends_the_tool(monkeypatch):
    change_case(monkeypatch, 'global', theirs=lambda build: lambda: nn.Identity())
    line = error_line(call('compare_backbones', *ONE_STEP, '--attention'))
    assert 'global gives maps of shapes [(' in line and line.endswith('nothing was timed')


@pytest.mark.parametrize(
    'options, words',
    [
        (['--peers', 'vitdet', 'detectron'], "--peers: unknown peer 'detectron'; choose from vitdet, mmseg"),
        (['--sizes', 512, 1000], '--sizes: 1000 is not a multiple of the patch size, 16'),
        (['--rounds', 0], '--batch, --rounds and --threads must be 1 or more'),
        (
            ['--peers', 'vitdet'],
            "peer 'vitdet' needs the package its-package: pip install its-package, or name other --peers",
        ),
        (['--attention', '--json', '/'], "--json: '/' is a folder: name a file in it"),
        pytest.param(
            ['--device', 'cuda'],
            'PyTorch finds no GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is one'),
        ),
    ],
)
def test_impossible_options_are_reported_in_one_line(options, words, monkeypatch):
    monkeypatch.setitem(peers.PACKAGES, 'vitdet', ('not_there', 'its-package'))
    ended = call('compare_backbones', '--arch', 'tiny', *options)
    assert words in error_line(ended) and not ended.out


def test_a_peer_without_its_package_can_be_left_out(monkeypatch):
    monkeypatch.setitem(peers.PACKAGES, 'vitdet', ('not_there', 'its-package'))
    assert [row[0] for row in rows_of(call('compare_backbones', *ONE_STEP, '--peers', 'mmseg'))] == ['mmseg'] * 2
