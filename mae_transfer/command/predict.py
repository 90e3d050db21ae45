"""Predict images that have no annotations: boxes and masks as COCO's JSON, label maps as PNG, or scores of classes
as CSV, by the task of the run, with pictures of them. --tile cuts large images into overlapping tiles, for small
objects."""

from __future__ import annotations

import argparse

from .models import add_device
from .parser import add_settings, typed_settings

EXAMPLES = (
    'mae-transfer predict work_dirs/detector my/photos out',
    'mae-transfer predict work_dirs/detector scan.tif out --tile 1024 --score .5 --classes road,car',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What predicts what."""
    parser.add_argument('model', help='work_dir of a training, or a checkpoint of one')
    parser.add_argument('images', help='folder of images, an image, a list file or a tar file')
    parser.add_argument('out', help='folder of the results')
    parser.add_argument('--tile', type=int, metavar='N', help='side of tiles in pixels; default: whole images')
    parser.add_argument('--overlap', type=float, default=0.25, help='share of tiles; default %(default)s')
    parser.add_argument('--score', type=float, metavar='S', help='lowest score that is written; default: all')
    parser.add_argument('--classes', metavar='A,B', help='only these classes')
    parser.add_argument('--batch-size', type=int, default=1, metavar='N', help='images at once; default %(default)s')
    parser.add_argument('--top', type=int, default=5, metavar='N', help="classes in a classifier's table")
    parser.add_argument('--no-pictures', dest='pictures', action='store_false', help='write numbers alone')
    add_device(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> None:
    """Predict, and tell where it is."""
    from ..inference.prediction import predict
    from ..inference.trained import load
    from ..progress import duration

    trained = load(args.model, device=args.device, cfg_options=typed_settings(args.cfg_options))
    done = predict(
        trained,
        args.images,
        args.out,
        tile=args.tile,
        overlap=args.overlap,
        score=args.score,
        classes=args.classes.split(',') if args.classes else None,
        batch_size=args.batch_size,
        pictures=args.pictures,
        top=args.top,
    )
    print(f'{done.images} images in {duration(done.seconds)}: {done.predictions}')
    if done.pictures is not None:
        print(f'pictures: {done.pictures}')
    if done.skipped:
        print(f'{len(done.skipped)} images cannot be read and are left out: {done.out}/skipped_images.txt')
