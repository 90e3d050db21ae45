"""api/results.py: what a call gives back, and what it stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mae_transfer.api.results import TestResult, TrainingResult
from mae_transfer.errors import UserError
from mae_transfer.inference.trained import load


@pytest.mark.parametrize('kind', [TestResult, TrainingResult])
@pytest.mark.parametrize('checkpoint', [None, Path('runs/a/epoch_3.pth')])
def test_a_result_is_the_path_of_its_weights(kind, checkpoint):
    result = kind({'mIoU': 12.345}, Path('runs/a'), Path('runs/a/a.py'), checkpoint, 'ade20k_upernet_vitb')
    assert os.fspath(result) == str(checkpoint or 'runs/a') and Path(result) == (checkpoint or Path('runs/a'))
    assert str(result) == repr(result) == f'ade20k_upernet_vitb: mIoU 12.35 ({checkpoint or "runs/a"})'


def test_a_call_takes_a_result_in_place_of_a_path(tmp_path):
    result = TrainingResult({}, tmp_path, tmp_path / 'a.py', tmp_path / 'gone.pth', 'in1k_finetune_vitb')
    with pytest.raises(UserError, match=r'gone\.pth'):
        load(result)
