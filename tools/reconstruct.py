#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Draw photos next to their reconstructions by a pre-trained MAE: masked, reconstructed, original."""

import argparse
import io
import os

import torch
from PIL import Image

from mae_transfer import launch
from mae_transfer.channels import check_channels
from mae_transfer.checks import check_config
from mae_transfer.data import collate_photos
from mae_transfer.data.photos.image_dataset import ImageDataset
from mae_transfer.data.photos.loaders import dataset_settings
from mae_transfer.errors import UserError, shorten
from mae_transfer.experiments.pretraining import check_pretraining
from mae_transfer.outputs import output_file
from mae_transfer.paths import shown, with_home
from mae_transfer.registry import DATASETS, MODELS
from mae_transfer.settings import change_settings
from mae_transfer.visualization.reconstruction import reconstruction_sheet
from mae_transfer.visualization.shown_bands import shown_of
from mae_transfer.vit.weights.checkpoint import find_checkpoint
from mae_transfer.whole_model import load_whole_model


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the whole MAE, with its decoder, or work_dir of its training')
    parser.add_argument('out', help='image file to write, e.g. reconstructions.png')
    parser.add_argument(
        '--photos', type=with_home, help="folder of photos, or list file; default the config's held-out photos"
    )
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


def _readable(photos: ImageDataset, count: int) -> tuple[list[dict], list[str]]:
    """The items of the first ``count`` readable photos, each once, and the names of the unreadable ones before them."""
    items, skipped, index = [], list[str](), 0
    while index < len(photos) and len(items) < count:
        item = photos[index]
        if index + len(item['skipped']) >= len(photos) and items:  # what follows in a circle is drawn already
            skipped += item['skipped'][: len(photos) - index]
            break
        skipped += item['skipped']
        items.append(item)
        index += len(item['skipped']) + 1
    return items, skipped


def main() -> None:
    """Draw the photos and write the image file."""
    args = parse_args()
    cfg = launch.load_config(args)
    check_pretraining(cfg)
    if args.photos is not None:
        if not os.path.exists(args.photos) or not args.photos:
            raise UserError(f"--photos: '{shown(args.photos)}' does not exist: give a folder of photos, or a list file")
        changes = [('data_root', args.photos), ('hold_out', 1.0)]
        cfg = change_settings(cfg, [(f'test_dataloader.dataset.{key}', value) for key, value in changes])
    check_config(cfg, 'test')
    model = MODELS.build(cfg.model).eval()
    check_channels(model)
    load_whole_model(model, str(find_checkpoint(args.checkpoint)), cfg)
    photos = DATASETS.build(dataset_settings(cfg.test_dataloader.dataset))
    items, skipped = _readable(photos, args.count)
    batch = collate_photos(items)
    bands = shown_of(photos, batch['inputs'].shape[1], args.bands_shown)
    torch.manual_seed(0)
    sheet = Image.fromarray(reconstruction_sheet(model, batch, shown=bands))
    try:
        sheet.save(args.out)
    except (OSError, ValueError) as error:
        raise UserError(
            f'out: {args.out} cannot hold a picture of {sheet.width} x {sheet.height} pixels ({error}): choose .png, '
            'or a lower --count'
        ) from error
    print(f'{len(items)} photos drawn into {args.out}')
    if skipped:
        print(f'unreadable photos were left out ({len(skipped)}): {shorten(map(shown, skipped))}')


if __name__ == '__main__':
    launch.run_main(main)
