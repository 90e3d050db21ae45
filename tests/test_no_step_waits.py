"""No training step waits for the device: no number is read from a tensor between two lines of the log."""

from __future__ import annotations

import traceback
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mae_transfer.runs.loops import EpochBasedTrainLoop
from tests.tools.classification import CLASSES, SCRATCH, class_options, write_classes
from tests.tools.commands import CONFIG, small, train, write_photos

#: Counters of the optimiser and of the averaged weights, which are on the CPU wherever the model is.
COUNTERS = ('/torch/optim/', '/mmengine/model/averaged_model.py')
#: Reads what was copied to the host in the step before.
LATE = ('/mae_transfer/runs/host_copy.py',)


class Readings(TorchDispatchMode):
    """Notes where a number is read from a tensor (``item``, ``bool``, ``float``), but for the exceptions above."""

    def __init__(self):
        super().__init__()
        self.places = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._overloadpacket is torch.ops.aten._local_scalar_dense:
            files = [f'{frame.filename}:{frame.lineno}' for frame in traceback.extract_stack()[:-1]]
            if not any(part in file for file in files for part in COUNTERS + LATE):
                self.places.append([file for file in files if '/torch/' not in file][-3:])
        return func(*args, **(kwargs or {}))


@pytest.fixture
def readings():
    """{iteration: where numbers were read in it}, of the trainings in the test."""
    found, run_iter = {}, EpochBasedTrainLoop.run_iter

    def noted(loop, idx, data_batch):
        with Readings() as readings:
            run_iter(loop, idx, data_batch)
        found[loop._iter] = readings.places

    with mock.patch.object(EpochBasedTrainLoop, 'run_iter', noted):
        yield found


def test_the_readings_of_a_step_are_found():
    with Readings() as readings:
        number = torch.ones(1)
        assert number.item() == 1 and bool(number > 0) and float(number) == 1
    assert len(readings.places) == 3 and all('test_no_step_waits' in place[-1] for place in readings.places)


# The first four batches are looked at by InputStatisticsHook; iteration 8 has a line.
QUIET = (5, 6, 7)


def test_no_step_of_a_pretraining_waits(readings, tmp_path):
    for part, count in (('train', 32), ('val', 4)):
        write_photos(tmp_path / 'photos' / part, count)
    train(CONFIG, '--work-dir', tmp_path / 'run', *small(tmp_path / 'photos', 4, default_hooks__logger__interval=8))
    assert [readings[number] for number in QUIET] == [[]] * 3


def test_no_step_of_a_classification_waits(readings, tmp_path):
    """With mixing, erasing, drop path and averaged weights."""
    for seed, (part, count) in enumerate((('train', 12), ('val', 2))):
        write_classes(tmp_path / 'images' / part, dict.fromkeys(CLASSES, count), seed)
    options = class_options(tmp_path / 'images', 4, default_hooks__logger__interval=8, default_hooks__ema__momentum=0.5)
    train(SCRATCH, '--work-dir', tmp_path / 'run', *options)
    assert [readings[number] for number in QUIET] == [[]] * 3
