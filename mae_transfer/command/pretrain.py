"""Pre-train a ViT on photos without labels: a folder of any depth, a list file, or shards. It stands on the packaged
config of the method and size, whose settings follow as KEY=VALUE; what is not set is fitted to few photos and short
runs. Log, checkpoints and pictures of reconstructions go to OUT."""

from __future__ import annotations

import argparse

from .processes import start_processes
from .training import add_run, settings_of, tell

EXAMPLES = (
    'mae-transfer pretrain my/photos work_dirs/mae --recipe small',
    'mae-transfer pretrain my/photos work_dirs/mae --arch large max_epochs=400 image_size=160 track=tensorboard',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is pre-trained, on what."""
    parser.add_argument('data', help='folder of photos, list file, or shards')
    parser.add_argument('out', help='work_dir of the run')
    parser.add_argument(
        '--arch', help='base, large, huge, or WIDTHxDEPTHxHEADS such as 192x5x3; default: that of the recipe, base'
    )
    parser.add_argument('--method', default='mae', help='mae, mocov3 or beit; default %(default)s')
    parser.add_argument(
        '--recipe', help='paper, or, of mae, small: a small ViT and few pixels, without a GPU; default: paper'
    )
    add_run(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    start_processes(args)
    from ..api.training import pretrain

    settings = settings_of(args)
    chosen = dict(method=args.method, recipe=args.recipe, launcher=args.launcher, cfg_options=settings)
    tell(pretrain(args.data, args.out, args.arch, **chosen))
