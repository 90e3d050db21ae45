"""A vector for each image, by the ViT of a run, or by the weights of a ViT alone (official MAE, timm, transformers
and others, with --arch where the file does not show it). OUT is a table, .npz or .csv; a run that was stopped goes
on where it stood."""

from __future__ import annotations

import argparse

from .models import add_device, add_vit_alone, vit_alone

EXAMPLES = (
    'mae-transfer embed work_dirs/mae my/photos embeddings.npz',
    'mae-transfer embed mae_pretrain_vit_base.pth my/photos out/vectors.csv --pool class --batch-size 64',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What embeds what."""
    parser.add_argument('model', help='work_dir or checkpoint of a run, or weights of a ViT')
    parser.add_argument('images', help='folder of images, an image, a list file or a tar file')
    parser.add_argument('out', help='file to write, .npz or .csv')
    parser.add_argument(
        '--pool', default='patches', help='patches (their mean) or class (the token); default %(default)s'
    )
    parser.add_argument('--image-size', type=int, metavar='N', help="side of the crops; default the ViT's own")
    parser.add_argument('--batch-size', type=int, default=32, metavar='N', help='images at once; default %(default)s')
    parser.add_argument('--workers', type=int, default=0, metavar='N', help='processes that read; default %(default)s')
    parser.add_argument(
        '--map', metavar='PICTURE', help='also draw the images on a plane, by their two main directions'
    )
    parser.add_argument('--overwrite', action='store_true', help='OUT may exist')
    add_device(parser)
    add_vit_alone(parser)


def run(args: argparse.Namespace) -> None:
    """Embed, and tell what was written."""
    from ..errors import shorten
    from ..inference.embedding import embed
    from ..inference.embedding_map import check_map_package
    from ..outputs import output_file
    from ..paths import shown

    if args.map:
        check_map_package()
        output_file(args.map, '--map')
    found = embed(
        args.model,
        args.images,
        args.out,
        pool=args.pool,
        image_size=args.image_size,
        batch_size=args.batch_size,
        num_workers=args.workers,
        device=args.device,
        overwrite=args.overwrite,
        **vit_alone(args),
    )
    count, width = found.values.shape
    print(f'{count} images x {width} numbers: {args.out}')
    if found.skipped:
        print(f'unreadable images were left out ({len(found.skipped)}): {shorten(map(shown, found.skipped), 3)}')
    if args.map:
        found.map(args.map)
        print(f'map: {args.map}')
