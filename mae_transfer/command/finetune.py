"""Transfer a ViT to your own labels: detect (boxes and masks in COCO's format), segment (label maps) or classify (a
folder for each class). It stands on the packaged config of the task, whose settings follow as KEY=VALUE; class
names are read from the data. patience=5 stops after five evaluations without a better result, and keeps the best
checkpoint."""

from __future__ import annotations

import argparse

from .processes import start_processes
from .training import add_run, settings_of, tell

EXAMPLES = (
    'mae-transfer finetune detect data/boxes work_dirs/mae work_dirs/detector patience=5',
    'mae-transfer finetune classify data/classes mae_pretrain_vit_base.pth work_dirs/classes --recipe linprobe',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is trained, on what, and from what."""
    parser.add_argument('task', choices=('detect', 'segment', 'classify'), help='detect, segment or classify')
    parser.add_argument('data', help='folder of the labelled images')
    parser.add_argument('weights', help="of a ViT: work_dir or checkpoint, official weights, or 'none' for random ones")
    parser.add_argument('out', help='work_dir of the run')
    parser.add_argument('--arch', help='size of the ViT; default: that of the weights')
    parser.add_argument(
        '--recipe',
        help='detect: maskrcnn, vitdet, cascade, small; segment: upernet, upernet_640, small; classify: finetune, '
        'linprobe, fastprobe, knn; default: the first; small is for a computer without a GPU',
    )
    add_run(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    start_processes(args)
    from ..api.training import finetune

    chosen = dict(arch=args.arch, recipe=args.recipe, launcher=args.launcher, cfg_options=settings_of(args))
    tell(finetune(args.task, args.data, args.weights, args.out, **chosen))
