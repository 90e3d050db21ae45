"""What is measured of a ViT while it is pre-trained, and that the training is the same without it."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.learning.hook import HISTORY, LearningHook
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining, save_photo

IMAGES = dict(img_size=16)
MEASURED = {'learning/rank_me', 'learning/seconds', 'knn/top1_k2', 'probe/top1'}


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'))


@pytest.fixture(scope='module')
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp('labelled')
    for split in ('train', 'val'):
        for number in range(6):
            save_photo(folder / split / 'ab'[number % 2] / f'{number}.png', number)
    return folder


def runner_of(photos, work_dir, *hooks, epochs=3, interval=1, **changes) -> StrictRunner:
    torch.manual_seed(0)
    cfg = pretraining(photos, work_dir, *hooks, **changes)
    cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval = epochs, interval
    cfg.log_processor = dict(type='LogProcessor', mean_pattern=r'^(loss|time|data_time)')
    cfg.model.vit.drop_path_rate = 0.5  # draws from PyTorch's generator in each step
    return StrictRunner.from_cfg(cfg)


def hook(labelled=None, **settings) -> dict:
    data = None if labelled is None else str(labelled)
    return dict(dict(type='LearningHook', probe_data=data, images=IMAGES, k=2), **settings)


def history(runner) -> list[dict]:
    return runner.message_hub.get_info(HISTORY)


def trained(photos, work_dir, *hooks, **changes) -> StrictRunner:
    runner = runner_of(photos, work_dir, *hooks, **changes)
    runner.train()
    return runner


@pytest.fixture(scope='module')
def run(photos, labelled, tmp_path_factory):
    return trained(photos, tmp_path_factory.mktemp('run'), hook(labelled), log_level='INFO')


def test_values_of_each_validation_go_to_the_log_and_the_scalars(run):
    assert [entry['epoch'] for entry in history(run)] == [0, 1, 2, 3]
    [scalars] = Path(run.work_dir).glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    lines = [line for line in lines if 'learning/rank_me' in line]
    assert len(lines) == 4 and all(MEASURED < {*line} for line in lines)
    for line, entry in zip(lines, history(run)):
        assert {name: line[name] for name in MEASURED} == {name: entry[name] for name in MEASURED}
        assert line['reconstruction/masked_loss'] == entry['reconstruction/masked_loss']
    [log] = Path(run.work_dir).glob('*/*.log')
    text = log.read_text()
    assert 'Epoch(val) [3][2/2]' in text and 'learning/rank_me: ' in text and 'probe/top1: ' in text
    assert 'in 4 evaluations' in text


def test_random_weights_differ_from_trained_ones(run):
    first, last = history(run)[0], history(run)[-1]
    assert first['learning/rank_me'] != last['learning/rank_me']
    assert 1 <= last['learning/rank_me'] <= 4  # four photos are held out


def test_the_training_is_the_same_bit_by_bit(run, photos, tmp_path):
    plain = trained(photos, tmp_path)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name


def test_generators_and_modes_are_as_before(run):
    [own] = [part for part in run.hooks if isinstance(part, LearningHook)]
    run.model.train()
    run.model.decoder.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    modes = [module.training for module in run.model.modules()]
    with mock.patch.object(run.message_hub, 'update_info'):
        own.after_val_epoch(run, {'reconstruction/masked_loss': 1.0})
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1] and random.getstate() == before[2]
    assert [module.training for module in run.model.modules()] == modes and not run.model.decoder.training


def test_a_resumed_run_keeps_the_course(run, photos, labelled, tmp_path):
    checkpoint = Path(run.work_dir, 'epoch_2.pth')
    again = runner_of(photos, tmp_path, hook(labelled), resume=True, load_from=str(checkpoint))
    again.train()
    assert len(history(again)) == 4
    for old, new in zip(history(run), history(again)):
        assert {**old, 'learning/seconds': 0} == {**new, 'learning/seconds': 0}


def test_without_labelled_images_only_the_rank_is_measured(photos, tmp_path):
    runner = trained(photos, tmp_path, hook(count=3), epochs=2)
    assert [entry['epoch'] for entry in history(runner)] == [1, 2]
    assert 'learning/rank_me' in history(runner)[0] and not MEASURED & {'probe/top1'} & {*history(runner)[0]}
    assert all(entry['learning/rank_me'] <= 3 for entry in history(runner))


def test_accuracies_are_those_of_the_test_loops(run, labelled):
    """Twelve photos of two classes, six of each split alike: the nearest neighbour of each is itself."""
    [own] = [part for part in run.hooks if isinstance(part, LearningHook)]
    with mock.patch.object(own._probe.knn, 'ks', (1,)):
        assert own._probe.evaluate(own._vit, 'float32')['knn/top1_k1'] == 100


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(k=7), 'k-NN takes the 7 nearest of the training images of probe_data, and there are 6'),
        (dict(k=0), 'default_hooks.learning.k is a number of neighbours'),
        (dict(probe_data=dict(data_rot='a')), 'probe_data has no data_root'),
        (dict(probe_data=[1, 2, 3]), 'probe_data is a folder with train/<class>'),
        (dict(pooling='max'), "pooling is 'class_token', 'patch_mean' or None"),
    ],
)
def test_what_cannot_be_measured_is_one_line_before_the_first_step(photos, labelled, tmp_path, settings, message):
    runner = runner_of(photos, tmp_path, hook(labelled, **settings))
    with pytest.raises(UserError, match=message) as caught:
        runner.train()
    assert '\n' not in str(caught.value) and runner.iter == 0


def test_a_validation_without_that_loss_is_told_once(photos, tmp_path):
    runner = runner_of(photos, tmp_path, hook(loss='views/loss'), epochs=2)
    with mock.patch.object(runner.logger, 'warning', wraps=runner.logger.warning) as warning:
        runner.train()
    [line] = [call.args[0] for call in warning.call_args_list if 'views/loss' in call.args[0]]
    assert line.endswith('is not among what the validation reports: reconstruction/masked_loss')
    assert len(history(runner)) == 2 and 'views/loss' not in history(runner)[0]


def test_a_folder_without_classes_is_refused(photos, tmp_path):
    save_photo(tmp_path / 'flat' / 'train' / 'a.png')
    save_photo(tmp_path / 'flat' / 'val' / 'a.png')
    with pytest.raises(UserError, match='contains no class folder, but 1 images directly'):
        trained(photos, tmp_path / 'run', hook(tmp_path / 'flat'))


def test_an_unreadable_image_is_refused_before_the_first_step(photos, tmp_path):
    for split in ('train', 'val'):
        for number in range(6):
            save_photo(tmp_path / 'data' / split / 'ab'[number % 2] / f'{number}.png', number)
    broken = tmp_path / 'data' / 'val' / 'a' / '0.png'
    broken.write_bytes(broken.read_bytes()[:60])
    runner = runner_of(photos, tmp_path / 'run', hook(tmp_path / 'data'))
    with pytest.raises(UserError, match=r'0\.png'):
        runner.train()
    assert runner.iter == 0


def test_wrong_settings_of_the_hook_itself():
    for settings, message in (
        (dict(count=-1), 'count is a number of photos'),
        (dict(dtype='int8'), 'autocast dtype is one of'),
    ):
        with pytest.raises(UserError, match=message):
            LearningHook(**settings)


def test_advice_reaches_the_log_as_a_warning_where_it_warns(photos, tmp_path):
    torch.manual_seed(0)
    runner = runner_of(photos, tmp_path, hook(), epochs=1)
    with (
        mock.patch('mae_transfer.learning.hook.rank_me', lambda features: 1.0),
        mock.patch.object(runner.logger, 'log', wraps=runner.logger.log) as log,
    ):
        runner.train()
    assert [call.args[0] for call in log.call_args_list if 'RankMe 1 of 4' in str(call.args)] == [logging.WARNING]
    (kept,) = tmp_path.glob('*/vis_data/advice.json')
    assert [(line['is_warning'], line['text'][:16]) for line in json.loads(kept.read_text())] == [
        (True, 'features collaps')
    ]
