"""Pictures of held-out photos during the training of an MAE."""

from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from mae_transfer.registry import MODELS
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining

SIDE, MARGIN = 16, 2


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'))


def train(photos, work_dir, *hooks, **changes) -> StrictRunner:
    runner = StrictRunner.from_cfg(pretraining(photos, work_dir, *hooks, **changes))
    runner.train()
    return runner


def hook(photos, **settings) -> dict:
    return dict(
        type='ReconstructionHook',
        dataset=dict(type='Photos', data_root=str(photos), split='val', img_size=SIDE, hold_out=0.5),
        **dict(dict(count=3, interval=2), **settings),
    )


@pytest.fixture(scope='module')
def run(photos, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('run')
    return work_dir, train(photos, work_dir, hook(photos))


def test_it_draws_at_the_interval_and_at_the_end(run):
    assert sorted(path.name for path in (run[0] / 'reconstructions').iterdir()) == ['epoch_2.png', 'last.png']


def test_the_pictures_reach_the_visualizer(run):
    assert len(list(run[0].glob('*/vis_data/vis_image/reconstructions_*.png'))) == 2


def test_photos_and_masks_stay_the_same_while_the_model_learns(run):
    early, late = (np.asarray(Image.open(run[0] / 'reconstructions' / name)) for name in ('epoch_2.png', 'last.png'))
    assert early.shape == late.shape == (3 * (SIDE + MARGIN) - MARGIN, 3 * (SIDE + MARGIN) - MARGIN, 3)
    middle = slice(SIDE + MARGIN, 2 * SIDE + MARGIN)
    assert not np.array_equal(early[:, middle], late[:, middle])
    assert np.array_equal(np.delete(early, middle, axis=1), np.delete(late, middle, axis=1))


def test_the_interval_can_count_iterations(photos, tmp_path):
    cfg = pretraining(photos, tmp_path)
    cfg.train_dataloader.batch_size = 1
    train(
        photos,
        tmp_path,
        hook(photos, by_epoch=False, interval=2, count=99),
        train_dataloader=cfg.train_dataloader,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=100),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=100, by_epoch=False)),
    )
    assert sorted(path.name for path in (tmp_path / 'reconstructions').iterdir()) == [
        'iter_2.png',
        'iter_4.png',
        'last.png',
    ]
    assert Image.open(tmp_path / 'reconstructions' / 'last.png').height == 4 * (SIDE + MARGIN) - MARGIN  # four photos


def test_the_training_is_not_disturbed(run, photos, tmp_path):
    plain = train(photos, tmp_path)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(run[1].model.state_dict()[name], value), name


def test_the_model_returns_to_its_mode(run):
    for training in (True, False):
        run[1].model.train(training)
        [own] = [hook for hook in run[1].hooks if type(hook).__name__ == 'ReconstructionHook']
        own.draw(run[1], 'again')
        assert run[1].model.training == training == run[1].model.vit.blocks[0].training


def test_a_target_without_pixels_is_reported_once_and_nothing_is_drawn(photos, tmp_path):
    cfg = pretraining(photos, tmp_path)
    encoder = dict(type='DALLEEncoder', hidden=8, group_blocks=1, vocab_size=20)
    torch.save(MODELS.build(encoder).state_dict(), tmp_path / 'encoder.pth')
    model = dict(
        cfg.model, target=dict(type='TokenTarget', tokenizer=dict(encoder, checkpoint=str(tmp_path / 'encoder.pth')))
    )
    runner = StrictRunner.from_cfg(pretraining(photos, tmp_path / 'run', hook(photos, interval=1), model=model))
    with mock.patch.object(runner.logger, 'info', wraps=runner.logger.info) as info:
        runner.train()
    assert [call.args[0] for call in info.call_args_list if 'no reconstructions' in call.args[0]] == [
        'no reconstructions are drawn: predictions of TokenTarget cannot be turned into pixels'
    ]
    assert not (tmp_path / 'run' / 'reconstructions').exists()
