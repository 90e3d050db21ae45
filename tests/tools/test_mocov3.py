"""MoCo v3 from the command line, on tiny photos: trained, judged, stopped and resumed, on two processes, and used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.vit.weights.checkpoint import find_checkpoint
from tests.tools.classification import FINETUNE, LINPROBE, class_options
from tests.tools.commands import REPOSITORY, call, checkpoint, error_line, largest_difference, losses, run, train

CONFIG = REPOSITORY / 'configs' / 'small' / 'mocov3_pretrain_tin20.py'


def small(data_root: Path, batch: int = 8, epochs: int = 1, **changes) -> list[str]:
    """Options of a run with three steps of eight photos in an epoch; ``batch`` of them at once in a process."""
    settings = dict(
        data_root=data_root,
        total_batch_size=8,
        base_lr=0.1,
        image_size=32,
        max_epochs=epochs,
        warmup=0.5,
        model__vit__arch='32x2x2',
        model__hidden_dim=32,
        model__out_dim=16,
        train_dataloader__batch_size=batch,
        val_dataloader__batch_size=4,
        test_dataloader__batch_size=4,
        default_hooks__logger__interval=1,
        default_hooks__checkpoint__interval=1,
        **{f'{loader}_dataloader__num_workers': 0 for loader in ('train', 'val', 'test')},
    )
    settings.update(changes)
    return ['--cfg-options', *(f'{name.replace("__", ".")}={value}' for name, value in settings.items())]


@pytest.fixture(scope='module')
def whole(tmp_path_factory, class_photos) -> Path:
    """work_dir of a run of three epochs."""
    folder = tmp_path_factory.mktemp('whole')
    ended = train(CONFIG, '--work-dir', folder, *small(class_photos, epochs=3))
    assert 'views/accuracy: ' in ended.out and 'views/loss: ' in ended.out
    return folder


def test_the_log_has_the_loss_the_accuracy_and_the_momentum(whole):
    scalars = checkpoint(whole)['message_hub']['log_scalars']
    momentum = scalars['train/momentum'].data[0]
    assert len(losses(whole)) == len(scalars['train/accuracy'].data[0]) == len(momentum) == 9
    assert momentum[0] == pytest.approx(0.99) and all(a < b < 1 for a, b in zip(momentum, momentum[1:]))


def test_the_averages_are_those_of_the_run(whole):
    state = checkpoint(whole)['state_dict']
    name = 'blocks.0.attn.qkv.weight'
    distance = (state[f'momentum_vit.{name}'] - state[f'vit.{name}']).abs().max()
    assert 0 < distance < 1
    assert torch.equal(state['momentum_vit.patch_embed.proj.weight'], state['vit.patch_embed.proj.weight'])


def test_a_resumed_run_ends_as_a_whole_one_to_the_bit(whole, tmp_path, class_photos):
    train(CONFIG, '--work-dir', tmp_path, '--resume', whole / 'epoch_2.pth', *small(class_photos, epochs=3))
    found, expected = checkpoint(tmp_path), checkpoint(whole)
    assert largest_difference(found['state_dict'], expected['state_dict']) == 0
    assert losses(tmp_path) == losses(whole)


def test_accumulated_passes_compare_fewer_photos_and_the_log_says_so(tmp_path, class_photos, whole):
    ended = train(CONFIG, '--work-dir', tmp_path, *small(class_photos, batch=4))
    assert ended.out.count('each photo is compared with the 4 of one forward pass') == 1
    momentum = checkpoint(tmp_path)['message_hub']['log_scalars']['train/momentum'].data[0].tolist()
    assert len(momentum) == 6 and momentum[::2] == momentum[1::2]
    assert losses(tmp_path)[0] < losses(whole)[0]  # fewer to be told from


def test_a_run_is_judged_on_held_out_photos(whole, tmp_path, class_photos):
    ended = call('test', CONFIG, whole, '--work-dir', tmp_path, *small(class_photos))
    assert ended.code == 0 and 'views/accuracy: ' in ended.out, ended.err


@pytest.mark.parametrize('config', [FINETUNE, LINPROBE], ids=lambda config: config.stem)
def test_classification_starts_from_the_base_encoder(whole, tmp_path, class_photos, config):
    options = class_options(class_photos, pretrained=whole, base_lr=0.0, model__data_preprocessor__mixup=None)
    if config == LINPROBE:
        options.remove('model.data_preprocessor.mixup=None')
    ended = train(config, '--work-dir', tmp_path, *options)
    assert f'weights from {find_checkpoint(whole)}' in ended.out
    found, source = checkpoint(tmp_path)['state_dict'], checkpoint(whole)['state_dict']
    for name in (name for name in source if name.startswith('vit.blocks.')):
        assert_close(found[name], source[name], rtol=0, atol=1e-5)  # fine-tuning has a lowest rate of 1e-6
        if name.endswith('qkv.weight'):
            assert (found[name] - source[f'momentum_{name}']).abs().max() > 1e-3


def test_a_pretraining_goes_on_from_another_s_vit(whole, tmp_path, class_photos):
    train(CONFIG, '--work-dir', tmp_path, *small(class_photos, pretrained=whole, base_lr=0.0))
    found, source = checkpoint(tmp_path)['state_dict'], checkpoint(whole)['state_dict']
    for name in (name for name in source if name.startswith('vit.')):
        assert torch.equal(found[name], source[name]) and torch.equal(found[f'momentum_{name}'], source[name]), name


@pytest.mark.slow
def test_two_processes_train_together(tmp_path, class_photos):
    options = small(class_photos, batch=4)
    ended = run('dist_train.sh', CONFIG, 2, '--work-dir', tmp_path, *options)
    assert ended.code == 0, ended.err
    assert 'batch 8 = 4 images x 2 processes x 1 accumulated' in ended.out
    assert 'No GPU: 8 SyncBN layers' in ended.out
    assert len(losses(tmp_path)) == 3 and 'views/accuracy: ' in ended.out


@pytest.mark.parametrize(
    'changes, says',
    [
        (dict(bands='L'), "only bands='RGB' have; found bands=L"),
        (dict(train_dataloader__batch_size=1), 'train_dataloader.batch_size=2 or more; found 1'),
        (dict(default_hooks__momentum=None), "default_hooks.momentum=dict(type='MomentumHook'): add it"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path, class_photos, changes, says):
    ended = call('train', CONFIG, '--work-dir', tmp_path, *small(class_photos, **changes))
    assert says in error_line(ended)
