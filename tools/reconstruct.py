#!/usr/bin/env python
"""Draw what a pre-trained MAE makes of photos: masked, reconstructed, whole."""

import argparse

import torch
from mmengine.config import Config
from PIL import Image

from mae_transfer import checks, launch
from mae_transfer.data import Photos, collate_photos
from mae_transfer.registry import MODELS
from mae_transfer.runner import load_whole_model
from mae_transfer.visualization.reconstruction import reconstruction_sheet
from mae_transfer.vit.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the MAE with its decoder, or the work_dir of its run')
    parser.add_argument('out', help='picture to write, e.g. reconstructions.png')
    parser.add_argument('--photos', help="folder or list file; default the config's held-out photos")
    parser.add_argument('--count', type=int, default=8, help='number of photos')
    return parser.parse_args()


def main() -> None:
    """Draw and write the picture."""
    args = parse_args()
    cfg: Config = launch.load_config(args)
    checks.check_sizes(cfg, 'test')
    model = MODELS.build(cfg.model).eval()
    load_whole_model(model, str(find_checkpoint(args.checkpoint)))
    settings = {key: value for key, value in cfg.test_dataloader.dataset.items() if key != 'type'}
    if args.photos:
        settings.update(data_root=args.photos, hold_out=1.0)
    photos = Photos(**settings)
    batch = collate_photos([photos[i] for i in range(min(args.count, len(photos)))])
    torch.manual_seed(0)
    Image.fromarray(reconstruction_sheet(model, batch)).save(args.out)
    print(f'{len(batch["inputs"])} photos drawn into {args.out}')


if __name__ == '__main__':
    launch.run_main(main)
