"""Evaluate a run by its own config: the reconstruction loss of a pre-training, the accuracy of a classifier, box
and mask AP of a detector, mIoU of a segmentor. With --data on other images in the same layout. The log goes to OUT."""

from __future__ import annotations

import argparse

from .parser import add_settings, typed_settings
from .processes import add_processes, start_processes
from .training import tell

EXAMPLES = (
    'mae-transfer test work_dirs/detector',
    'mae-transfer test work_dirs/detector/epoch_12.pth --data data/others --out work_dirs/others image_size=512',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is evaluated, on what."""
    parser.add_argument('run', help='work_dir of a training, or a checkpoint of one')
    parser.add_argument('--data', help="other data than the run's; its validation part is evaluated")
    parser.add_argument('--out', help='folder of the log; default test/ beside the checkpoint')
    add_processes(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate."""
    from ..api.training import test

    start_processes(args)
    settings = typed_settings(args.cfg_options)
    tell(test(args.run, data=args.data, out=args.out, launcher=args.launcher, cfg_options=settings))
