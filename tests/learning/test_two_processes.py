"""Two processes that pre-train together measure what one measures, and train as without measuring."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers import photo_folder, save_photo
from tests.learning.test_hook import history, hook, trained
from tests.processes import run_together


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('together')
    photo_folder(folder / 'photos', 10)  # five are held out: one process has a photo more
    for split in ('train', 'val'):
        for number in range(7):
            save_photo(folder / 'labelled' / split / 'ab'[number % 2] / f'{number}.png', number)
    return folder


@pytest.fixture(scope='module')
def found(folder):
    return run_together(Path(__file__).with_name('two_processes.py'), 2, folder, 300)


@pytest.mark.slow
def test_both_have_the_same_values(found):
    first, second = ([{**entry, 'learning/seconds': 0} for entry in one['measured_history']] for one in found)
    assert first == second and [entry['epoch'] for entry in first] == [0, 1, 2]


@pytest.mark.slow
def test_random_weights_have_the_values_that_one_process_measures(found, folder, tmp_path):
    alone = history(trained(folder / 'photos', tmp_path, hook(folder / 'labelled'), epochs=1))[0]
    together = found[0]['measured_history'][0]
    assert alone['epoch'] == together['epoch'] == 0
    for name in ('learning/rank_me', 'knn/top1_k2', 'probe/top1'):
        assert together[name] == pytest.approx(alone[name], rel=1e-3), name


@pytest.mark.slow
def test_the_training_is_the_same_bit_by_bit(found):
    for one in found:
        assert one['plain_history'] == []
        assert all(torch.equal(value, one['measured'][name]) for name, value in one['plain'].items())
