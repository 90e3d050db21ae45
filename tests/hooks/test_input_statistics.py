"""A config whose mean and standard deviation do not fit its images is told so."""

import re
from unittest import mock

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mae_transfer.classify.preprocessor import LabelledPreprocessor
from mae_transfer.dense.detection_preprocessor import DetPreprocessor
from mae_transfer.dense.segmentation_preprocessor import SegPreprocessor
from mae_transfer.hooks.input_statistics import InputStatisticsHook, is_far_off
from mae_transfer.pretraining import PhotoPreprocessor
from mae_transfer.runner import StrictRunner
from tests.data.written import npy
from tests.helpers import photo_folder, pretraining

IMAGENET = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
SHARES = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
UNIT = dict(mean=(0, 0, 0), std=(255, 255, 255))
RNG = np.random.default_rng(0)


def images(least: float, greatest: float, dtype=torch.uint8, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(RNG.uniform(least, greatest, (4, channels, 16, 16))).to(dtype)


def warnings(preprocessor: nn.Module, *batches: dict, hook: InputStatisticsHook | None = None) -> list[str]:
    """What the hook logs when the preprocessor is given some training batches."""
    hook, runner = hook or InputStatisticsHook(), mock.Mock()
    runner.model = nn.Module()
    runner.model.data_preprocessor = preprocessor
    hook.before_train(runner)
    for number, batch in enumerate(batches):
        preprocessor(batch, training=True)
        hook.after_train_iter(runner, number)
    hook.after_train(runner)
    assert not preprocessor._forward_hooks  # it is gone
    return [call.args[0] for call in runner.logger.warning.call_args_list]


RIGHT = {
    'photos': (IMAGENET, images(0, 256)),
    'dark photos': (IMAGENET, images(0, 25)),
    'black but for noise': (IMAGENET, images(0, 45)),
    'documents on white': (IMAGENET, torch.where(torch.rand(4, 1, 16, 16) < 0.05, 0, 255).expand(-1, 3, -1, -1).byte()),
    'black and white': (IMAGENET, torch.where(torch.rand(4, 1, 16, 16) < 0.5, 0, 255).expand(-1, 3, -1, -1).byte()),
    'for a dVAE': (UNIT, images(0, 256)),
    'dark, for a dVAE': (UNIT, images(0, 30)),
    'half': (dict(mean=(127.5,) * 3, std=(127.5,) * 3), images(0, 256)),
    'X-rays': (dict(mean=(30000.0,), std=(12000.0,)), images(0, 65535, torch.float32, 1)),
    'shares': (SHARES, images(0, 1, torch.float32)),
}
WRONG = {
    'statistics of shares': (SHARES, images(0, 256), 'mean 5'),
    'none': (dict(mean=(0, 0, 0), std=(1, 1, 1)), images(0, 256), 'mean 1'),
    'shares under statistics of 0..255': (IMAGENET, images(0, 1, torch.float32), 'mean -2'),
    '16 bits': (IMAGENET, images(0, 65535, torch.float32), 'mean 5'),
    '12 bits': (IMAGENET, images(0, 4095, torch.float32), 'mean 3'),
    '12 bits for 16': (dict(mean=(30000.0,), std=(15000.0,)), images(0, 4095, torch.float32, 1), 'mean -1.8'),
    '8 bits for 16': (dict(mean=(30000.0,), std=(15000.0,)), images(0, 256, torch.float32, 1), 'mean -1.9'),
}


@pytest.mark.parametrize('name', RIGHT)
def test_ordinary_images_are_passed_in_silence(name):
    settings, batch = RIGHT[name]
    assert not warnings(PhotoPreprocessor(**settings), *[dict(inputs=batch)] * 4)


@pytest.mark.parametrize('name', WRONG)
def test_views_are_measured_as_images_are(name):
    settings, batch, _ = WRONG[name]
    whole = warnings(PhotoPreprocessor(**settings), *[dict(inputs=batch)] * 2)
    views = warnings(PhotoPreprocessor(**settings), *[dict(inputs=batch.unflatten(0, (2, 2)))] * 2)
    assert len(views) == 1 and views == whole


@pytest.mark.parametrize('name', WRONG)
def test_another_scale_is_told_with_what_to_set(name):
    settings, batch, found = WRONG[name]
    (line,) = warnings(PhotoPreprocessor(**settings), *[dict(inputs=batch)] * 4)
    assert line.startswith(f'channel 1 of the normalised images has {found}') and '\n' not in line
    assert ('more channels are as far off' in line) == (len(settings['mean']) == 3)
    config = re.search(r'mean and std of the config are (\(.*?\)) and (\(.*?\)); measured on the first 16 images', line)
    assert [eval(text) for text in config.groups()] == [pytest.approx(settings[key]) for key in ('mean', 'std')]
    advice = re.search(r'on the scale of the files: mean=(\(.*\)) std=(\(.*\)): set these$', line)
    mean, std = (eval(text) for text in advice.groups())
    values = batch.double().movedim(1, 0).flatten(1)
    np.testing.assert_allclose(mean, values.mean(1), atol=1e-4 * values.std())
    np.testing.assert_allclose(std, values.std(1, correction=0), rtol=1e-4)
    # The advice works: set, it is followed by silence.
    assert not warnings(PhotoPreprocessor(mean, std), dict(inputs=batch))


def test_one_channel_of_several():
    settings = dict(mean=(123.0, 116.0, 103.0, 0.0), std=(58.0, 57.0, 57.0, 1.0))
    (line,) = warnings(PhotoPreprocessor(**settings), dict(inputs=images(0, 256, channels=4)))
    assert line.startswith('channel 4 ') and 'more channels' not in line and 'first 4 images' in line


def test_only_the_first_batches_count():
    good, bad = dict(inputs=images(0, 256)), dict(inputs=images(0, 65535, torch.float32))
    assert not warnings(PhotoPreprocessor(), good, good, bad, hook=InputStatisticsHook(batches=2))
    assert warnings(PhotoPreprocessor(), good, bad, hook=InputStatisticsHook(batches=2))


@pytest.mark.parametrize('settings, count', [(IMAGENET, 0), (SHARES, 1)])
def test_mixed_and_erased_images(settings, count):
    """What to set is measured before mixing and erasing."""
    preprocessor = LabelledPreprocessor(
        2, erasing=dict(probability=1.0, mode='pixel'), mixup=dict(mixup_alpha=0.8, cutmix_alpha=1.0), **settings
    )
    batch = dict(inputs=images(0, 256), labels=torch.tensor([0, 1, 0, 1]))
    lines = warnings(preprocessor, batch)
    assert len(lines) == count
    for line in lines:
        mean = eval(re.search(r'mean=(\(.*\)) std', line)[1])
        np.testing.assert_allclose(mean, batch['inputs'].double().mean((0, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize('settings, count', [(IMAGENET, 0), (SHARES, 1)])
@pytest.mark.parametrize('kind', ['detection', 'segmentation'])
def test_padding_and_the_order_of_colours(kind, settings, count):
    """Small images in a large frame; the advice is in the order of the config, RGB, not OpenCV's."""
    inputs = list(images(100, 256))
    inputs[0] = inputs[0] // 2
    for image in inputs:
        image[0] //= 2  # blue
    if kind == 'detection':
        preprocessor = DetPreprocessor(**settings, bgr_to_rgb=True, pad_size_divisor=128)
        samples = [DetDataSample(metainfo=dict(img_shape=(16, 16))) for _ in inputs]
    else:
        preprocessor = SegPreprocessor(**settings, bgr_to_rgb=True, size=(128, 128))
        samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 16, 16))) for _ in inputs]
    lines = warnings(preprocessor, dict(inputs=inputs, data_samples=samples))
    assert len(lines) == count
    for line in lines:
        red, green, blue = eval(re.search(r'mean=(\(.*\)) std', line)[1])
        assert blue < 0.6 * red and abs(red - green) < 10


def test_a_model_without_a_preprocessor():
    hook, runner = InputStatisticsHook(), mock.Mock()
    runner.model = nn.Linear(1, 1)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train(runner)
    assert not runner.logger.warning.called


def test_limits():
    assert not is_far_off(np.array([2.9, -2.9, 0.9, 0.0]), np.array([1, 3.9, 0.03, 0.03])).any()
    assert is_far_off(np.array([3.1, -3.1, 0, 0, -1.1]), np.array([1, 1, 4.1, 0.01, 0.09])).all()


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'))


def train(photos, work_dir, *hooks, **changes) -> tuple[StrictRunner, list[str]]:
    runner = StrictRunner.from_cfg(pretraining(photos, work_dir, *hooks, **changes))
    with mock.patch.object(runner.logger, 'warning', wraps=runner.logger.warning) as warning:
        runner.train()
    return runner, [call.args[0] for call in warning.call_args_list if 'normalised images' in call.args[0]]


def test_a_run_is_the_same_with_the_hook(photos, tmp_path):
    (plain, none), (watched, lines) = (
        train(photos, tmp_path / str(len(hooks)), *hooks) for hooks in ((), (dict(type='InputStatisticsHook'),))
    )
    assert none == lines == []
    for name, value in plain.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[name], value), name


def test_one_warning_in_a_run_and_one_when_it_is_resumed(tmp_path):
    (tmp_path / 'photos').mkdir()
    for i in range(8):
        npy(tmp_path / 'photos' / f'{i}.npy', RNG.integers(0, 4096, (20, 24, 3)).astype(np.uint16))
    hook = dict(type='InputStatisticsHook', batches=2)
    cfg = pretraining(tmp_path / 'photos', tmp_path / 'run')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.bands = (1, 2, 3)
    loaders = dict(train_dataloader=cfg.train_dataloader, val_dataloader=cfg.val_dataloader)
    _, lines = train(tmp_path / 'photos', tmp_path / 'run', hook, **loaders)
    assert len(lines) == 1
    longer = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=9)
    _, lines = train(tmp_path / 'photos', tmp_path / 'run', hook, **loaders, train_cfg=longer, resume=True)
    assert len(lines) == 1
    with mock.patch('mae_transfer.hooks.input_statistics.is_main_process', return_value=False):
        assert train(tmp_path / 'photos', tmp_path / 'other', hook, **loaders)[1] == []


def test_statistics_of_constant_channels_are_not_advised():
    """A deviation of 0 would be refused."""
    batch = torch.full((4, 2, 16, 16), 7.0)
    batch[:, 1] = images(0, 255, channels=1)[:, 0]
    told = warnings(PhotoPreprocessor(mean=(7, 127), std=(1, 74)), dict(inputs=batch))
    assert told == [
        'of 2 channels 1 have one value everywhere in the first 4 images, and nothing can be learnt from them: leave '
        'them out, by bands'
    ]
