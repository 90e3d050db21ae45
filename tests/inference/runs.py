"""Short runs of each task, on tiny data of a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.own_data import write_coco, write_scenes
from tests.tools.classification import FINETUNE, class_options, write_classes
from tests.tools.commands import CONFIG, REPOSITORY, small, train, write_photos

#: Names of the classes of `tests/own_data.py`.
DETECTED, SEGMENTED = ('dog', 'traffic light'), ('road', 'field')
_BACKBONE = (
    *('pretrained=none', 'model.backbone.arch=32x4x2', 'model.backbone.out_indices=(0,1,2,3)'),
    *('model.backbone.img_size=64', 'total_batch_size=2', 'train_dataloader.batch_size=2'),
)


class Run(NamedTuple):
    """A run that has ended: its config file, its data, its work_dir, and the options that it had."""

    config: Path
    data: Path
    work_dir: Path
    options: list[str]


def short_run(task: str, folder: Path) -> Run:
    """Train a model of a task for a moment."""
    data, work_dir = folder / 'data', folder / 'run'
    if task == 'pretrain':
        config, options = CONFIG, small(write_photos(data, 12))
    elif task == 'classify':
        for split, count in (('train', 8), ('val', 3)):
            write_classes(data / split, dict(blue=count, green=count, red=count), seed=count)
        config, options = FINETUNE, class_options(data)
    elif task == 'detect':
        config = REPOSITORY / 'configs/small/coco_maskrcnn.py'
        own = (f'classes={",".join(DETECTED)}', 'model.roi_head.bbox_head.fc_out_channels=32', 'max_epochs=1')
        options = ['--cfg-options', f'data_root={write_coco(data)}', *_BACKBONE, 'image_size=(64,64)', *own]
    else:
        config = REPOSITORY / 'configs/small/ade20k_upernet.py'
        own = (f'classes={",".join(SEGMENTED)}', 'max_iters=3', 'warmup=2', 'crop_size=(64,64)')
        own += ('model.test_cfg.stride=(43,43)', 'model.decode_head.channels=16', 'model.auxiliary_head.channels=16')
        options = ['--cfg-options', f'data_root={write_scenes(data)}', *_BACKBONE, *own]
    train(config, '--work-dir', work_dir, *options)
    return Run(config, data, work_dir, options)
