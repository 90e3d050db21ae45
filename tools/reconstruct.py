#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Draw photos next to their reconstructions by a pre-trained MAE, also at several ratios and under several maskings."""

import argparse

from mae_transfer import launch
from mae_transfer.channels import check_channels
from mae_transfer.command import reconstruct
from mae_transfer.experiments.pretraining import check_pretraining
from mae_transfer.inference.reconstructions import config_of_photos, draw_reconstructions
from mae_transfer.registry import MODELS
from mae_transfer.vit.weights.checkpoint import find_checkpoint
from mae_transfer.whole_model import load_whole_model


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the whole MAE, with its decoder, or work_dir of its training')
    reconstruct.add_drawing(parser)
    args = parser.parse_args()
    args.drawing = reconstruct.drawing_of(args)
    return args


def main() -> None:
    """Draw the photos and write the image file."""
    args = parse_args()
    with launch.console(args.verbose):
        cfg = launch.load_config(args)
        check_pretraining(cfg)
        cfg = config_of_photos(cfg, args.drawing)
        model = MODELS.build(cfg.model).eval()
        check_channels(model)
        checkpoint = find_checkpoint(args.checkpoint)
        load_whole_model(model, str(checkpoint), cfg)
        print(draw_reconstructions(model, cfg, args.drawing, checkpoint))


if __name__ == '__main__':
    launch.run_main(main)
