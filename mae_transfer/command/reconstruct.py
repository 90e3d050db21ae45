"""Draw photos next to their reconstructions by a pre-trained MAE: masked, reconstructed, original. Without --photos
these are photos that were held out of the training. A tool with the same options takes a config and a checkpoint:
tools/reconstruct.py."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .models import add_device
from .parser import add_settings, typed_settings

if TYPE_CHECKING:
    from ..inference.reconstructions import Drawing

EXAMPLES = (
    'mae-transfer reconstruct work_dirs/mae reconstructions.png',
    'mae-transfer reconstruct work_dirs/mae/epoch_100.pth out/mine.png --photos my/photos --count 16',
)


def add_drawing(parser: argparse.ArgumentParser) -> None:
    """What is drawn, and where."""
    parser.add_argument('out', help='image file to write, e.g. reconstructions.png')
    parser.add_argument('--photos', help="folder of photos, or list file; default the config's held-out photos")
    parser.add_argument('--count', type=int, default=8, help='number of photos; default %(default)s')
    parser.add_argument(
        '--bands-shown',
        help="for photos of other bands than 'RGB': one or three of them, by their numbers in the files, e.g. 4,3,2; "
        'default: the first three',
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A pre-training, and what is drawn."""
    parser.add_argument('run', help='work_dir of a pre-training, or a checkpoint of one')
    add_drawing(parser)
    add_device(parser)
    add_settings(parser)


def drawing_of(args: argparse.Namespace) -> Drawing:
    """What is to be drawn; raises ``UserError``."""
    from ..inference.reconstructions import Drawing

    return Drawing(args.out, args.photos, args.count, args.bands_shown)


def run(args: argparse.Namespace) -> None:
    """Draw the photos and write the image file."""
    from ..experiments.pretraining import check_pretraining
    from ..inference.reconstructions import config_of_photos, draw_reconstructions
    from ..inference.trained import load

    drawing = drawing_of(args)
    trained = load(args.run, device=args.device, cfg_options=typed_settings(args.cfg_options))
    check_pretraining(trained.cfg)
    cfg = config_of_photos(trained.cfg, drawing)
    print('\n'.join(draw_reconstructions(trained.model, cfg, drawing)))
