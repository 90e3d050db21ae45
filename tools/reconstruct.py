#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Draw photos next to their reconstructions by a pre-trained MAE: masked, reconstructed, original."""

import argparse
import io

import torch
from PIL import Image

from mae_transfer import launch
from mae_transfer.channels import check_channels
from mae_transfer.checks import check_config
from mae_transfer.data import collate_photos
from mae_transfer.data.loaders import dataset_settings
from mae_transfer.errors import UserError
from mae_transfer.experiments.pretraining import check_pretraining
from mae_transfer.outputs import output_file
from mae_transfer.registry import DATASETS, MODELS
from mae_transfer.settings import change_settings
from mae_transfer.visualization.reconstruction import reconstruction_sheet
from mae_transfer.visualization.shown_bands import shown_of
from mae_transfer.vit.checkpoint import find_checkpoint
from mae_transfer.whole_model import load_whole_model


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the whole MAE, with its decoder, or work_dir of its training')
    parser.add_argument('out', help='image file to write, e.g. reconstructions.png')
    parser.add_argument('--photos', help="folder of photos, or list file; default the config's held-out photos")
    parser.add_argument('--count', type=int, default=8, help='number of photos; default %(default)s')
    parser.add_argument(
        '--bands-shown',
        help="for photos of other bands than 'RGB': one or three of them, by their numbers in the files, e.g. 4,3,2; "
        'default: the first three',
    )
    args = parser.parse_args()
    if args.count < 1:
        raise UserError(f'--count must be 1 or more; found {args.count}')
    args.out = output_file(args.out, 'out')
    try:
        Image.new('RGB', (8, 8)).save(io.BytesIO(), Image.registered_extensions()[args.out.suffix.lower()])
    except (KeyError, OSError, ValueError) as error:  # no image format, or one that cannot be written, or not in colour
        raise UserError(f"out: '{args.out}' must end in the suffix of an image format, such as .png or .jpg") from error
    return args


def main() -> None:
    """Draw the photos and write the image file."""
    args = parse_args()
    cfg = launch.load_config(args)
    check_pretraining(cfg)
    if args.photos:
        changes = [('data_root', args.photos), ('hold_out', 1.0)]
        cfg = change_settings(cfg, [(f'test_dataloader.dataset.{key}', value) for key, value in changes])
    check_config(cfg, 'test')
    model = MODELS.build(cfg.model).eval()
    check_channels(model)
    load_whole_model(model, str(find_checkpoint(args.checkpoint)), cfg)
    photos = DATASETS.build(dataset_settings(cfg.test_dataloader.dataset))
    batch = collate_photos([photos[i] for i in range(min(args.count, len(photos)))])
    shown = shown_of(photos, batch['inputs'].shape[1], args.bands_shown)
    torch.manual_seed(0)
    sheet = Image.fromarray(reconstruction_sheet(model, batch, shown=shown))
    try:
        sheet.save(args.out)
    except (OSError, ValueError) as error:
        raise UserError(
            f'out: {args.out} cannot hold a picture of {sheet.width} x {sheet.height} pixels ({error}): choose .png, '
            'or a lower --count'
        ) from error
    print(f'{len(batch["inputs"])} photos drawn into {args.out}')


if __name__ == '__main__':
    launch.run_main(main)
