"""Play with a trained ViT on a local page: choose or drop a photo, hide patches, see the reconstruction; attention of a
patch, features as colours, nearest photos. Without --photos these are photos that were held out of the training. The
page is served on this machine only, until Ctrl-C."""

from __future__ import annotations

import argparse

from .models import add_device, add_vit_alone, vit_alone

EXAMPLES = (
    'mae-transfer explore work_dirs/mae --open',
    'mae-transfer explore configs/quickstart/vit_scenes.safetensors --arch 192x5x3 --photos my/photos --port 7861',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is explored, on which photos, and where."""
    parser.add_argument('run', help='work_dir or checkpoint of a run, or weights of a ViT')
    parser.add_argument(
        '--photos', help="folder of photos, an image, a list file or a tar file; default the run's held-out photos"
    )
    parser.add_argument('--port', type=int, default=7860, metavar='N', help='of 127.0.0.1; default %(default)s')
    parser.add_argument('--open', action='store_true', help='open the page in a browser')
    add_device(parser)
    add_vit_alone(parser)


def run(args: argparse.Namespace) -> None:
    """Serve the page."""
    from ..exploring.explore import explore

    explore(args.run, args.photos, port=args.port, device=args.device, open_browser=args.open, **vit_alone(args))
