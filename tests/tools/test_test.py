"""tools/test.py and tools/dist_test.sh on a pre-training checkpoint."""

from __future__ import annotations

import json
import math

import pytest
import torch

from mae_transfer.data import Photos, collate_photos
from mae_transfer.registry import MODELS
from mae_transfer.settings import read_config
from tests.tools.commands import CONFIG, call, checkpoint, run, small, train


def measured(work_dir) -> float:
    """The loss that a test wrote to its work_dir, in full precision."""
    (file,) = work_dir.glob('*/*.json')
    return json.loads(file.read_text())['reconstruction/masked_loss']


@pytest.fixture(scope='module')
def tested(tmp_path_factory, trained, photos):
    """work_dir of a test by one process, and its output."""
    folder = tmp_path_factory.mktemp('tested')
    ended = call('test', CONFIG, trained / 'epoch_1.pth', '--work-dir', folder, *small(photos))
    assert ended.code == 0, ended.err
    return folder, ended


def test_prints_the_reconstruction_loss(tested):
    folder, ended = tested
    assert f'reconstruction/masked_loss: {measured(folder):.4f}' in ended.out


def test_the_loss_is_the_mean_over_all_held_out_photos(tested, trained, photos):
    cfg = read_config(CONFIG, small(photos)[1:])
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(checkpoint(trained)['state_dict'])
    held_out = Photos(str(photos), 'val', 32)
    batch = model.data_preprocessor(collate_photos([held_out[i] for i in range(7)]))
    with torch.no_grad():
        expected = math.fsum(sample['loss'] for sample in model(**batch, mode='predict')) / 7
    assert measured(tested[0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_two_processes_measure_the_same_loss_as_one_on_seven_photos(tested, trained, photos, tmp_path):
    ended = run('dist_test.sh', CONFIG, trained / 'epoch_1.pth', 2, '--work-dir', tmp_path, *small(photos))
    assert ended.code == 0, ended.err
    print(f'\none process {measured(tested[0]):.9f}, two {measured(tmp_path):.9f}')
    assert measured(tmp_path) == pytest.approx(measured(tested[0]), rel=1e-6)


def test_a_work_dir_means_its_last_checkpoint(tested, trained, photos, tmp_path):
    assert call('test', CONFIG, trained, '--work-dir', tmp_path, *small(photos)).code == 0
    assert measured(tmp_path) == measured(tested[0])


def test_a_validation_logs_the_loss_of_its_epoch_only(photos, tmp_path):
    """MMEngine's log averages values with 'loss' in their name over earlier epochs, unless it is configured not to."""
    run_dir, test_dir = tmp_path / 'run', tmp_path / 'test'
    options = small(photos, 8, 3)
    train(CONFIG, '--amp', 'off', '--work-dir', run_dir, *options, 'train_cfg.val_interval=1')
    (log,) = run_dir.glob('*/vis_data/scalars.json')
    validations = [
        entry['reconstruction/masked_loss']
        for entry in map(json.loads, log.read_text().splitlines())
        if 'reconstruction/masked_loss' in entry
    ]
    assert len(validations) == 3 and abs(validations[0] - validations[2]) > 1e-3
    assert call('test', CONFIG, run_dir, '--work-dir', test_dir, *options).code == 0
    assert validations[2] == pytest.approx(measured(test_dir), abs=1e-6)
