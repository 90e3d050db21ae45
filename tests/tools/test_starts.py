"""From another project's file to a trained and tested classifier, detector and segmentor, by one option."""

from __future__ import annotations

import re

import pytest
from mmengine.config import Config

from tests.own_data import write_coco, write_scenes
from tests.tools.classification import class_options
from tests.tools.commands import REPOSITORY, call, checkpoint, error_line, train
from tests.vit.weights.test_checkpoint import randomize

ARCH = '32x4x2'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """{start: folder} of small models of transformers with random weights, saved by their own method."""
    from transformers import BeitConfig, BeitModel, DINOv3ViTConfig, DINOv3ViTModel

    sizes = dict(hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=128, image_size=32)
    models = {
        'dinov3': DINOv3ViTModel(DINOv3ViTConfig(**sizes, patch_size=16, num_register_tokens=4)),
        'beit': BeitModel(BeitConfig(**sizes, patch_size=16, use_relative_position_bias=True)),
    }
    folder = tmp_path_factory.mktemp('models')
    for name, model in models.items():
        randomize(model).save_pretrained(folder / name)
    return folder


def loaded(work_dir) -> str:
    """What the log of a training says of the weights that it starts from."""
    text = ''.join(path.read_text() for path in work_dir.glob('*/*.log'))
    return re.search(r'ViT: loaded (\d+ of \d+) weights', text)[1]


@pytest.mark.parametrize('init', ['dinov3', 'beit'])
def test_classification(init, files, class_photos, tmp_path):
    config = REPOSITORY / 'configs/in1k_finetune_vitb.py'
    run = tmp_path / 'run'
    arguments = class_options(
        class_photos, pretrained=files / init, init=init, model__vit__arch=ARCH, model__vit__patch_size=16
    )
    train(config, '--work-dir', run, *arguments)
    count, wanted = loaded(run).split(' of ')
    assert count == wanted
    tested = call('test', config, run, '--work-dir', tmp_path / 'test', *arguments)
    assert tested.code == 0 and 'accuracy/top1' in tested.out + tested.err
    names = set(checkpoint(run)['state_dict'])
    assert ('vit.reg_token' in names) == (init == 'dinov3')


COCO = [
    *('image_size=64', 'max_epochs=1', 'warmup=.5', 'model.roi_head.bbox_head.fc_out_channels=16'),
    *('model.train_cfg.rcnn.sampler.num=8', 'model.test_cfg.rpn.max_per_img=20', 'classes=dog,traffic light'),
]
ADE = ['crop_size=64', 'max_iters=3', 'warmup=2', 'norm_cfg.type=BN', 'classes=road,field']


@pytest.mark.parametrize('init', ['dinov3', 'beit'])
@pytest.mark.parametrize('task', ['coco_maskrcnn_vitb', 'ade20k_upernet_vitb'])
def test_dense_tasks(task, init, files, tmp_path):
    write, options = (write_coco, COCO) if task.startswith('coco') else (write_scenes, ADE)
    loaders = [f'{name}_dataloader.num_workers=0' for name in ('train', 'val', 'test')]
    arguments = [
        '--cfg-options',
        *(f'data_root={write(tmp_path / "data")}', f'pretrained={files / init}', f'init={init}', f'arch={ARCH}'),
        *('total_batch_size=2', 'train_dataloader.batch_size=2', *loaders, *options),
    ]
    config, run = REPOSITORY / f'configs/{task}.py', tmp_path / 'run'
    train(config, '--work-dir', run, *arguments)
    count, wanted = loaded(run).split(' of ')
    rel_pos = init == 'beit'
    assert count == wanted
    dumped = Config.fromfile(next(run.glob('*.py')))
    assert (dumped.model.backbone.rel_pos == 'table') == rel_pos
    mean = (123.675, 116.28, 103.53) if init == 'dinov3' else (127.5, 127.5, 127.5)
    assert tuple(dumped.model.data_preprocessor.mean) == mean


def test_weights_of_another_design_are_refused_in_one_line(files, class_photos, tmp_path):
    arguments = class_options(
        class_photos, pretrained=files / 'dinov3', model__vit__arch=ARCH, model__vit__patch_size=16
    )
    line = error_line(call('train', REPOSITORY / 'configs/in1k_finetune_vitb.py', '--work-dir', tmp_path, *arguments))
    assert 'the checkpoint has 4 registers, no absolute positions' in line and "choose design='dinov3'" in line
