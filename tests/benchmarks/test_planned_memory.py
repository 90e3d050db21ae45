"""The expected memory of real steps is within 15 % of the measured one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from mae_transfer.benchmarks.planned_memory import HEAD, table_row
from tests.tools.commands import REPOSITORY


def run(*arguments: object) -> subprocess.CompletedProcess:
    """The command, in a process that has computed nothing yet."""
    command = [sys.executable, '-m', 'mae_transfer.benchmarks.planned_memory', *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), OMP_NUM_THREADS='1')
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_rows_have_the_cells_of_the_head():
    row = dict(config='a', options=['b=1'], batch=8, expected_GB=1.234)
    assert table_row(row) == '| a b=1 | 8 | 1.23 | does not fit |  |'
    assert table_row(dict(row, measured_GB=1.2, ratio=1.028)) == '| a b=1 | 8 | 1.23 | 1.20 | 1.028 |'
    assert table_row(row).count('|') == HEAD.splitlines()[0].count('|')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_there_is_no_measurement_on_one():
    ended = run('--device', 'cuda')
    assert ended.returncode == 2 and 'PyTorch finds no GPU; choose --device cpu' in ended.stderr


@pytest.mark.parametrize(
    'config, options, batches',
    [
        ('mae_pretrain_vitb.py', ['arch=384x6x6'], [16]),
        pytest.param('mae_pretrain_vitb.py', [], [8, 16, 32], marks=pytest.mark.slow),
        pytest.param('mae_pretrain_vitl.py', [], [8, 16, 32], marks=pytest.mark.slow),
        pytest.param('in1k_finetune_vitb.py', [], [8, 32], marks=pytest.mark.slow),
        pytest.param('ade20k_upernet_vitb.py', ['crop_size=256'], [2, 8], marks=pytest.mark.slow),
    ],
)
def test_what_is_expected_is_measured(tmp_path, config, options, batches):
    file = tmp_path / 'memory.json'
    settings = ['--cfg-options', *options] if options else []
    ended = run(REPOSITORY / 'configs' / config, '--batches', *batches, '--json', file, *settings)
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(file.read_text())['rows']
    assert [row['batch'] for row in rows] == batches
    for row in rows:
        assert 0.85 < row['ratio'] < 1.15, row
