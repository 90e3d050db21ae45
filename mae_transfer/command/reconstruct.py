"""Draw photos next to their reconstructions by a pre-trained MAE: masked, reconstructed, original; or each photo at
several ratios and under several maskings, side by side. Without --photos these are photos that were held out of the
training. A caption below the picture says what is seen. A tool with the same options takes a config and a checkpoint:
tools/reconstruct.py."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import UserError
from .models import add_device
from .parser import add_settings, typed_settings

if TYPE_CHECKING:
    from ..inference.reconstructions import Drawing

EXAMPLES = (
    'mae-transfer reconstruct work_dirs/mae/epoch_100.pth out/mine.png --photos my/photos --count 16',
    'mae-transfer reconstruct work_dirs/mae ratios.png --ratios .75,.85,.95 --maskings random,block --no-paste',
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
    parser.add_argument(
        '--ratios',
        help='masking ratios, side by side, e.g. .75,.85,.95; default that of the run. A column for each, and for each '
        'of --maskings',
    )
    parser.add_argument('--maskings', help='maskings, side by side: random,block,grid; default that of the run')
    parser.add_argument(
        '--paste',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='kept patches are those of the photo (the default), or, as in the Fig. 2 of the paper, what the model '
        'predicts for them',
    )
    parser.add_argument(
        '--per-row', type=int, help='photos next to each other, without --ratios and --maskings; default 2'
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

    maskings = None if args.maskings is None else args.maskings.split(',')
    words = (args.bands_shown, _ratios(args.ratios), maskings, args.paste, args.per_row)
    return Drawing(args.out, args.photos, args.count, *words)


def _ratios(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(',')]
    except ValueError:
        raise UserError(f"--ratios are numbers with commas between them, e.g. .75,.85,.95; found '{text}'") from None


def run(args: argparse.Namespace) -> None:
    """Draw the photos and write the image file."""
    from ..experiments.pretraining import check_pretraining
    from ..inference.reconstructions import config_of_photos, draw_reconstructions
    from ..inference.trained import load

    drawing = drawing_of(args)
    trained = load(args.run, device=args.device, cfg_options=typed_settings(args.cfg_options))
    check_pretraining(trained.cfg)
    cfg = config_of_photos(trained.cfg, drawing)
    print(draw_reconstructions(trained.model, cfg, drawing, trained.checkpoint))
