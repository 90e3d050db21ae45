"""tools/train.py: options, resuming, precision, photos that cannot be read."""

from __future__ import annotations

import shutil

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.pretraining.mae import MAE
from mae_transfer.registry import MODELS
from mae_transfer.settings import read_config
from mae_transfer.vit.weights.checkpoint import read_weights
from mae_transfer.vit.weights.layouts import from_canonical
from tests.tools.commands import (
    ARCH,
    CONFIG,
    REPOSITORY,
    call,
    checkpoint,
    imagenet_layout,
    largest_difference,
    losses,
    small,
    train,
    write_photos,
)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, photos):
    """work_dir of a run of three epochs, and its output."""
    folder = tmp_path_factory.mktemp('whole')
    return folder, train(
        CONFIG, '--work-dir', folder, *small(photos, epochs=3, default_hooks__checkpoint__max_keep_ckpts=3)
    ).out


@pytest.fixture
def interrupted(whole, tmp_path):
    """work_dir of the same run, interrupted after its first epoch."""
    folder = tmp_path / 'interrupted'
    folder.mkdir()
    shutil.copy(whole[0] / 'epoch_1.pth', folder)
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    return folder


# What a run prints and writes


def test_the_batch_plan_is_printed_and_logged(whole):
    line = 'batch 8 = 8 images x 1 process x 1 accumulated; learning rate 0.003125 = 0.1 x 8 / 256'
    assert whole[1].count(line) == 1
    (log,) = whole[0].glob('*/*.log')
    assert line in log.read_text()


@pytest.mark.parametrize(
    'batch, total, line',
    [
        (2, 8, 'batch 8 = 2 images x 1 process x 4 accumulated; learning rate 0.003125 = 0.1 x 8 / 256'),
        (4, 'None', 'batch 4 = 4 images x 1 process x 1 accumulated; learning rate 0.001563 = 0.1 x 4 / 256'),
    ],
)
def test_accumulation_and_rate_follow_the_total_batch(photos, tmp_path, batch, total, line):
    assert line in train(CONFIG, '--work-dir', tmp_path, *small(photos, batch, total_batch_size=total)).out
    groups = checkpoint(tmp_path)['optimizer']['param_groups']
    assert {group['initial_lr'] for group in groups} == {0.1 * (8 if total == 8 else 4) / 256}


def test_the_learning_rate_starts_at_zero_and_ends_near_it(whole):
    rates = checkpoint(whole[0])['message_hub']['log_scalars']['train/lr'].data[0]
    assert rates[0] == 0 and max(rates) > 0.9 * 0.003125 and rates[-1] < 0.1 * 0.003125


def test_reconstructions_are_drawn(whole):
    assert (whole[0] / 'reconstructions' / 'last.png').is_file()


def test_the_work_dir_is_named_after_the_config(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(CONFIG, *small(photos))
    assert (tmp_path / 'work_dirs' / 'mae_pretrain_vitl' / 'epoch_1.pth').is_file()


# Resuming


def assert_finished_as(whole, ended, work_dir):
    assert 'Epoch(train) [2][1/3]' in ended.out and 'Epoch(train) [1]' not in ended.out
    assert losses(work_dir) == losses(whole)
    assert largest_difference(checkpoint(work_dir)['state_dict'], checkpoint(whole)['state_dict']) == 0


@pytest.mark.parametrize('option', [['--resume'], ['--resume', 'auto']], ids=' '.join)
def test_a_resumed_run_ends_as_an_uninterrupted_one(whole, interrupted, photos, option):
    ended = train(CONFIG, '--work-dir', interrupted, *option, *small(photos, epochs=3))
    assert_finished_as(whole[0], ended, interrupted)


def test_resumes_from_a_file_in_another_work_dir(whole, photos, tmp_path):
    ended = train(CONFIG, '--work-dir', tmp_path, '--resume', whole[0] / 'epoch_1.pth', *small(photos, epochs=3))
    assert_finished_as(whole[0], ended, tmp_path)


def test_resuming_without_a_checkpoint_starts_anew(whole, photos, tmp_path):
    train(CONFIG, '--work-dir', tmp_path, '--resume', 'auto', *small(photos, epochs=3))
    assert losses(tmp_path) == losses(whole[0])


def test_resuming_requires_the_whole_model(whole, photos, tmp_path):
    stored = checkpoint(whole[0])
    del stored['state_dict']['decoder.mask_token']
    torch.save(stored, tmp_path / 'part.pth')
    ended = call('train', CONFIG, '--work-dir', tmp_path, '--resume', tmp_path / 'part.pth', *small(photos))
    assert ended.code == 2 and 'part.pth is of another model: 1 of ' in ended.err


@pytest.mark.parametrize('name', ['epoch_2.pth', ''], ids=['file', 'work_dir'])
def test_load_from_starts_a_new_run_with_the_weights(whole, photos, tmp_path, name):
    source = whole[0] / name
    ended = train(CONFIG, '--work-dir', tmp_path, '--load-from', source, *small(photos, base_lr=0.0))
    assert 'Epoch(train) [1][1/3]' in ended.out and len(losses(tmp_path)) == 3
    expected = torch.load(whole[0] / (name or 'epoch_3.pth'), weights_only=False)['state_dict']
    assert largest_difference(checkpoint(tmp_path)['state_dict'], expected) == 0


def test_load_from_names_the_weights_that_it_does_not_load(whole, photos, tmp_path):
    stored = checkpoint(whole[0])['state_dict']
    del stored['decoder.mask_token']
    torch.save(stored, tmp_path / 'part.pth')
    ended = train(CONFIG, '--work-dir', tmp_path, '--load-from', tmp_path / 'part.pth', *small(photos))
    assert 'not loaded: decoder.mask_token' in ended.out


def test_a_pre_training_goes_on_from_an_official_file(whole, photos, tmp_path):
    weights = read_weights(whole[0])
    state = from_canonical(weights.encoder, weights.decoder, 'official')
    torch.save(dict(model=state), tmp_path / 'official.pth')
    options = small(photos, base_lr=0.0, pretrained=tmp_path / 'official.pth')
    ended = train(CONFIG, '--work-dir', tmp_path / 'run', *options)
    assert f'weights to start from: {tmp_path}/official.pth (model.vit)' in ended.out
    assert 'decoder: loaded 20 of 20 weights' in ended.out
    expected = checkpoint(whole[0])['state_dict']
    assert largest_difference(checkpoint(tmp_path / 'run')['state_dict'], expected) == 0


def test_source_grid_is_a_setting(photos, tmp_path):
    vit = MODELS.build(dict(type='ViT', arch=ARCH, img_size=(16, 48), patch_size=8))
    torch.nn.init.normal_(vit.pos_embed)
    torch.save(vit.state_dict(), tmp_path / 'vit.pth')
    options = ['--work-dir', tmp_path / 'run', *small(photos, pretrained=tmp_path / 'vit.pth')]
    ended = call('train', CONFIG, *options)
    assert ended.code == 2 and 'pos_embed of 12 patches is for no square grid: give source_grid=' in ended.err
    ended = train(CONFIG, *options, 'model.vit.init_cfg.source_grid=(2,6)')
    assert 'positions: of 2 x 6 patches (source_grid), resized to 4 x 4' in ended.out


def test_weights_key_is_a_setting(photos, tmp_path):
    vits = {key: MODELS.build(dict(type='ViT', arch=ARCH, img_size=32, patch_size=8)) for key in ('first', 'second')}
    torch.save({key: vit.state_dict() for key, vit in vits.items()}, tmp_path / 'vits.pth')
    options = ['--work-dir', tmp_path / 'run', *small(photos, pretrained=tmp_path / 'vits.pth')]
    ended = call('train', CONFIG, *options)
    assert ended.code == 2 and "2 ViTs in the file, at first, second: choose one by weights_key='first'" in ended.err
    ended = train(CONFIG, *options, 'model.vit.init_cfg.weights_key=second')
    assert "vits.pth['second']" in ended.out and "taken: 'second'; also in the file: first" in ended.out


# Precision


@pytest.mark.parametrize(
    'option, dtype',
    [
        ([], torch.bfloat16),
        (['--amp', 'bf16'], torch.bfloat16),
        (['--amp', 'fp16'], torch.float16),
        (['--amp', 'off'], None),
    ],
    ids=['default', 'bf16', 'fp16', 'off'],
)
def test_the_model_runs_in_the_precision_of_the_option(photos, tmp_path, monkeypatch, option, dtype):
    seen, predict = set(), MAE.predict

    def watched(self, *arguments, **named):
        if self.training:
            seen.add(torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else None)
        return predict(self, *arguments, **named)

    monkeypatch.setattr(MAE, 'predict', watched)
    train(CONFIG, '--work-dir', tmp_path, *option, *small(photos))
    assert seen == {dtype}


# Photos


def test_an_unreadable_photo_is_skipped_named_and_counted(tmp_path):
    photos = imagenet_layout(tmp_path / 'photos')
    whole = (photos / 'train' / '003.jpg').read_bytes()
    (photos / 'train' / '003.jpg').write_bytes(whole[: len(whole) // 2])
    (photos / 'train' / '004.jpg').write_text('no image')
    out = train(CONFIG, '--work-dir', tmp_path / 'run', *small(photos, epochs=2)).out
    assert len(losses(tmp_path / 'run')) == 6
    assert out.count('unreadable image skipped: 003.jpg') == out.count('unreadable image skipped: 004.jpg') == 1
    assert '2 unreadable images were skipped: 003.jpg, 004.jpg' in out


def test_a_list_file_names_the_photos(tmp_path):
    write_photos(tmp_path / 'some folder', 20)
    lines = [f'some folder/{i:03d}.jpg' for i in range(17)]
    (tmp_path / 'list.txt').write_text('\n'.join(lines) + '\n')
    train(CONFIG, '--work-dir', tmp_path / 'run', *small(tmp_path / 'list.txt'))
    assert len(losses(tmp_path / 'run')) == 2  # 16 photos: one is held out


def test_a_folder_without_splits_holds_some_photos_out(tmp_path):
    write_photos(tmp_path / 'my photos', 25)
    train(CONFIG, '--work-dir', tmp_path / 'run', *small(tmp_path / 'my photos'))
    assert len(losses(tmp_path / 'run')) == 3


# --cfg-options


def changed(*options, config=CONFIG):
    return read_config(config, options)


@pytest.mark.parametrize('root', ['elsewhere', 'a, b/my (own) photos', '2024'])
def test_data_root_is_changed_in_every_place(root):
    cfg = changed(f'data_root={root}')
    found = [cfg.data_root, *(cfg[f'{loader}_dataloader'].dataset.data_root for loader in ('train', 'val', 'test'))]
    assert found == [root] * 4


def test_the_annotation_files_of_coco_follow_data_root():
    cfg = changed('data_root=/my/coco', config=REPOSITORY / 'configs' / 'coco_maskrcnn_vitb.py')
    assert cfg.val_evaluator.ann_file == '/my/coco/annotations/instances_val2017.json'
    assert cfg.test_evaluator.ann_file == '/my/coco/annotations/instances_val2017.json'


@pytest.mark.parametrize(
    'before', [[], ['model.vit.arch={embed_dim: 8, depth: 1, num_heads: 1}']], ids=['name', 'dict']
)
def test_a_dictionary_replaces_what_was_there(before):
    cfg = changed(*before, "model.vit.arch={'embed_dim':32,'depth':2,'num_heads':2}")
    assert cfg.model.vit.arch == dict(embed_dim=32, depth=2, num_heads=2)


def test_a_dictionary_replaces_a_hook():
    cfg = changed("default_hooks.step_guard={'type':'StepGuardHook','most':7}")
    assert cfg.default_hooks.step_guard == dict(type='StepGuardHook', most=7)


@pytest.mark.parametrize(
    'option, find, value',
    [
        ('model.vit.arch=tiny', lambda cfg: cfg.model.vit.arch, 'tiny'),
        ('max_epochs=300', lambda cfg: cfg.train_cfg.max_epochs, 300),
        ('total_batch_size=None', lambda cfg: cfg.total_batch_size, None),
        ('optim_wrapper.optimizer.betas=(.9,.99)', lambda cfg: cfg.optim_wrapper.optimizer.betas, (0.9, 0.99)),
        ('image_size=[32,48]', lambda cfg: cfg.val_dataloader.dataset.img_size, [32, 48]),
        ('model.vit.img_size=448', lambda cfg: cfg.train_dataloader.dataset.img_size, 448),
        ('model.vit.grad_checkpoint=True', lambda cfg: cfg.model.vit.grad_checkpoint, True),
        ('default_hooks.reconstructions.count=2', lambda cfg: cfg.default_hooks.reconstructions.count, 2),
        ('find_unused_parameters=True', lambda cfg: cfg.find_unused_parameters, True),
        (
            'train_dataloader.dataset.data_root=/my photos',
            lambda cfg: cfg.train_dataloader.dataset.data_root,
            '/my photos',
        ),
    ],
)
def test_a_setting_is_changed(option, find, value):
    assert find(changed(option)) == value


@pytest.mark.parametrize(
    'option, says',
    [
        ('data_rot=x', "--cfg-options data_rot: the config has no 'data_rot'; did you mean 'data_root'?"),
        ('modle.vit.arch=tiny', "--cfg-options modle.vit.arch: the config has no 'modle'; did you mean 'model'?"),
        ('model.vti.arch=tiny', "the config has no 'model.vti'; did you mean 'model.vit'?"),
        ('presets=x', "--cfg-options presets: the config has no 'presets'"),
        ('max_iters=100', "the config has no 'max_iters'; did you mean 'max_epochs'?"),
        (
            'model.vit.arch.depth=2',
            "'model.vit.arch' is 'large', which holds no settings: set it as a whole, model.vit.arch=...",
        ),
        ('param_scheduler.5.warmup=2', "'param_scheduler' is a list of 1: give a number below that, not '5'"),
        (
            'optim_wrapper.optimizer.betas.0=.8',
            "set 'optim_wrapper.optimizer.betas' as a whole, e.g. optim_wrapper.optimizer.betas=(0.9,0.95)",
        ),
        ('model.vit.img_size=(32,48', 'the brackets or quotes of (32,48 do not match'),
        ('data_root', '--cfg-options data_root: give KEY=VALUE'),
        ('data_root=', '--cfg-options data_root=: the value is empty'),
    ],
)
def test_an_impossible_change_is_refused(option, says):
    with pytest.raises(UserError) as refused:
        changed(option)
    assert says in str(refused.value) and '\n' not in str(refused.value)


@pytest.mark.parametrize('changes', [dict(model__vit__in_channels=4), dict(model__data_preprocessor__mean='(1,2,3,4)')])
def test_channels_and_normalisation_that_disagree_are_refused(photos, tmp_path, changes):
    ended = call('train', CONFIG, '--work-dir', tmp_path, *small(photos, **changes))
    assert ended.code == 2 and 'set `bands`, e.g. bands=(1,2,3,4), which the model follows' in ended.err
    assert len(ended.err.strip().splitlines()) == 1
