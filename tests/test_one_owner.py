"""Each setting has one owner: what a user changes on the command line takes effect everywhere, or is refused.

Each test is a fault that was found by using version 0.1.0, tried through the tools as a user would.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest
import torch

from mae_transfer import launch
from mae_transfer.data import LabelledPhotos, Photos
from mae_transfer.registry import DATASETS
from mae_transfer.vit import ViT
from tests.own_data import write_scenes
from tests.tools.commands import REPOSITORY, call, checkpoint, error_line, imagenet_layout, write_photos

LOADER = 'dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(img_size=32))'
PRETRAINING = f"""
_base_ = '{REPOSITORY}/configs/mae_pretrain_vitl.py'
total_batch_size = 4
model = dict(
    vit=dict(arch=dict(_delete_=True, embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8),
    decoder=dict(embed_dim=16, depth=1, num_heads=2),
)
train_dataloader = {LOADER}
val_dataloader = {LOADER}
test_dataloader = {LOADER}
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
"""
CLASSIFIER = f"""
_base_ = '{REPOSITORY}/configs/{{base}}.py'
total_batch_size = 4
model = dict(
    num_classes=2, vit=dict(arch=dict(_delete_=True, embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8)
)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""
KNN = f"""
_base_ = '{REPOSITORY}/configs/in1k_knn_vitb.py'
model = dict(vit=dict(arch=dict(_delete_=True, embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8))
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_cfg = dict(ks=[1], train_dataloader=dict(num_workers=0, persistent_workers=False))
"""
SEGMENTOR = f"""
_base_ = '{REPOSITORY}/configs/small/ade20k_upernet.py'
total_batch_size = 4
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, depth=4, num_heads=2), img_size=64, out_indices=(0, 1, 2, 3)
    ),
    neck=dict(embed_dim=32),
    decode_head=dict(in_channels=[32] * 4, channels=16),
    auxiliary_head=dict(in_channels=32, channels=16),
)
"""
#: In settings that version 0.1.0 had too.
ONE_EPOCH = ('train_cfg.max_epochs=1', 'param_scheduler.0.warmup=.5', 'param_scheduler.0.end=1')
TWO_STEPS = """
param_scheduler = [dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=2, by_epoch=False)]
train_cfg = dict(max_iters=2, val_interval=2)
"""


@pytest.fixture
def config(tmp_path):
    """A function that writes a config and gives its path."""

    def write(text, name='config'):
        (tmp_path / f'{name}.py').write_text(text)
        return tmp_path / f'{name}.py'

    return write


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / 'photos', 10)


def classes_of(folder, photos=4):
    for split in ('train', 'val'):
        for seed, name in enumerate(('ant', 'bee')):
            write_photos(folder / split / name, photos, seed)
    return folder


def train(path, work_dir, *options):
    return call('train', path, '--work-dir', work_dir, '--cfg-options', *options)


def loaded(name, *options):
    """A config as the tools read it."""
    path = REPOSITORY / 'configs' / f'{name}.py'
    return launch.load_config(
        argparse.Namespace(config=str(path), cfg_options=list(options), work_dir=None, launcher='none', local_rank=0)
    )


def test_a_tool_runs_where_no_environment_is_active(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    environment.update(PATH='/usr/bin:/bin', PYTHON=sys.executable)
    tool = REPOSITORY / 'tools' / 'train.py'
    ended = subprocess.run([tool, '--help'], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert 'usage: train.py' in ended.stdout, ended.stderr


def test_a_run_that_ends_within_its_warm_up_is_refused(config, photos, tmp_path):
    ended = train(config(PRETRAINING), tmp_path / 'run', f'data_root={photos}', 'train_cfg.max_epochs=2')
    assert 'warmup=40' in error_line(ended) and 'choose less, e.g. warmup=' in error_line(ended)


@pytest.mark.parametrize('name', ['mae_pretrain_vitl', 'in1k_finetune_vitb', 'coco_maskrcnn_vitl', 'coco_vitdet_vith'])
def test_the_length_of_any_recipe_is_one_setting(name):
    unit = 'max_iters' if 'vitdet' in name else 'max_epochs'
    assert loaded(name, f'{unit}=60').train_cfg[unit] == 60


def test_a_run_again_from_its_own_config_is_the_same_run(config, tmp_path):
    first = train(
        config(SEGMENTOR + TWO_STEPS, 'ade'),
        *(
            tmp_path / 'first',
            f'data_root={write_scenes(tmp_path / "scenes")}',
            'pretrained=none',
            'classes=road,field',
        ),
    )
    assert first.code == 0, first.err
    second = call('train', tmp_path / 'first' / 'ade.py', '--work-dir', tmp_path / 'second')
    assert second.code == 0, second.err
    ends = [(tmp_path / run / 'last_checkpoint').read_text().rpartition('/')[2] for run in ('first', 'second')]
    assert ends[0] == ends[1]


def test_a_setting_does_not_change_strings_that_happen_to_be_equal(config, tmp_path):
    vit = ViT(arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8)
    torch.save(vit.state_dict(), tmp_path / 'vit.pth')
    data = f'data_root={classes_of(tmp_path / "classes")}'
    work_dir = ('--work-dir', tmp_path / 'run')
    ended = call('test', config(KNN), tmp_path / 'vit.pth', *work_dir, '--cfg-options', 'pretrained=none', data)
    assert ended.code == 0, ended.err


def test_the_size_of_images_is_that_of_padding_and_positions_too():
    cfg = loaded('coco_maskrcnn_vitb', 'image_size=(512,512)')
    assert cfg.model.data_preprocessor.pad_size_divisor == 512
    assert tuple(cfg.model.backbone.rel_pos_img_size) == (512, 512)


def test_a_subclass_of_a_data_set_is_one(config, tmp_path):
    sizes = []

    class OwnPhotos(LabelledPhotos):
        def __init__(self, *args, **settings):
            sizes.append(settings.get('img_size'))
            super().__init__(*args, **settings)

    DATASETS.register_module(module=OwnPhotos)
    try:
        text = CLASSIFIER.format(base='in1k_finetune_vitb').replace(
            'train_dataloader = dict(', "train_dataloader = dict(dataset=dict(type='OwnPhotos'), "
        )
        data = f'data_root={classes_of(tmp_path / "classes")}'
        ended = train(config(text), tmp_path / 'run', data, 'pretrained=none', *ONE_EPOCH)
        assert ended.code == 0, ended.err
    finally:
        DATASETS.module_dict.pop('OwnPhotos')
    assert sizes == [32]


def test_several_folders_of_photos_are_one_data_set(config, tmp_path):
    a, b = (write_photos(tmp_path / name, 6, seed) for seed, name in enumerate('ab'))
    ended = train(config(PRETRAINING), tmp_path / 'run', f'data_root=[{a},{b}]', *ONE_EPOCH)
    assert ended.code == 0, ended.err
    assert checkpoint(tmp_path / 'run')['meta']['iter'] == 5  # ten photos, one of each six held out, two at a time


def rates(work_dir):
    return checkpoint(work_dir)['message_hub']['log_scalars']['train/lr'].data[0].tolist()


def test_a_resumed_run_follows_its_own_schedule(config, photos, tmp_path):
    path, data = config(PRETRAINING), f'data_root={photos}'

    def schedule(epochs):
        return f'train_cfg.max_epochs={epochs}', 'param_scheduler.0.warmup=1', f'param_scheduler.0.end={epochs}'

    assert train(path, tmp_path / 'short', data, *schedule(2)).code == 0
    assert train(path, tmp_path / 'long', data, *schedule(5)).code == 0
    ended = call('train', path, '--work-dir', tmp_path / 'short', '--resume', '--cfg-options', data, *schedule(5))
    assert ended.code == 0, ended.err
    resumed, whole = rates(tmp_path / 'short'), rates(tmp_path / 'long')
    steps = len(whole) * 3 // 5
    assert resumed[-steps:] == pytest.approx(whole[-steps:], rel=1e-9)


def test_weights_alone_cannot_be_resumed(config, photos, tmp_path):
    path, options = config(PRETRAINING), ('--cfg-options', f'data_root={photos}', *ONE_EPOCH)
    assert call('train', path, '--work-dir', tmp_path / 'run', *options).code == 0
    weights = tmp_path / 'weights.pth'
    torch.save(checkpoint(tmp_path / 'run')['state_dict'], weights)
    ended = call('train', path, '--work-dir', tmp_path / 'again', '--resume', weights, *options)
    assert 'holds weights, not the state of a run' in error_line(ended)


@pytest.mark.parametrize('value', ['None', 'none'])
def test_none_means_random_weights(value, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = f'data_root={classes_of(tmp_path / "classes")}'
    ended = train(config(CLASSIFIER.format(base='in1k_finetune_vitb')), 'run', data, f'pretrained={value}', *ONE_EPOCH)
    assert ended.code == 0, ended.err
    assert ended.out.lstrip().startswith('weights to start from: none, all are random')


def test_numbers_that_cannot_be_are_found_before_anything_is_built(config, photos, tmp_path):
    scenes = [f'data_root={write_scenes(tmp_path / "scenes")}', 'pretrained=none', 'classes=road,field']
    assert 'warmup' in error_line(train(config(SEGMENTOR), tmp_path / 'a', *scenes, 'train_cfg.max_iters=4'))
    probe = config(CLASSIFIER.format(base='in1k_linprobe_vitb'))
    data = [f'data_root={classes_of(tmp_path / "classes")}', 'pretrained=none', *ONE_EPOCH]
    assert 'two images' in error_line(train(probe, tmp_path / 'b', *data, 'train_dataloader.batch_size=1'))


def test_no_worker_processes_is_a_choice(config, photos, tmp_path):
    text = PRETRAINING.replace('num_workers=0, persistent_workers=False', 'num_workers=0')
    ended = train(config(text), tmp_path / 'run', f'data_root={photos}', *ONE_EPOCH)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize('size', [96, 160, 224, 384])
def test_there_is_one_centre_crop(size, tmp_path):
    imagenet_layout(tmp_path / 'all')
    for split in ('train', 'val'):
        write_photos(tmp_path / 'classes' / split / 'one', 2, seed=3)
    photos = Photos(str(tmp_path / 'classes' / 'val'), 'val', img_size=size, hold_out=1)
    labelled = LabelledPhotos(str(tmp_path / 'classes'), 'val', img_size=size)
    assert torch.equal(photos[0]['inputs'], labelled[0]['inputs'])
