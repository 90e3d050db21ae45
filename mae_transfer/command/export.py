"""Write a model for other programs: one ONNX file, or a folder that timm or transformers load by themselves. What
is written is compared with the model on the CPU, and removed if it does not give the same. MODEL is a run, or the
weights of a ViT alone; of a pre-training the ViT is written."""

from __future__ import annotations

import argparse

from .models import add_vit_alone, vit_alone

EXAMPLES = (
    'mae-transfer export work_dirs/classes classes.onnx --output probabilities',
    'mae-transfer export work_dirs/mae out/vit --format timm',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written, and how."""
    parser.add_argument('model', help='work_dir or checkpoint of a run, or weights of a ViT')
    parser.add_argument('out', help='file to write, .onnx, or a folder')
    parser.add_argument(
        '--format', choices=('onnx', 'timm', 'transformers'), default='onnx', help='default %(default)s'
    )
    parser.add_argument(
        '--part', choices=('model', 'vit'), default='model', help='vit: only the ViT of it; default %(default)s'
    )
    parser.add_argument(
        '--output', choices=('logits', 'probabilities', 'labels'), help='of an ONNX file; default logits'
    )
    parser.add_argument(
        '--image-size', type=int, metavar='N', help='side of the only images that an ONNX file takes; default: any'
    )
    add_vit_alone(parser)


def run(args: argparse.Namespace) -> None:
    """Export, and tell what was written."""
    from ..exporting.export import export

    chosen = dict(format=args.format, part=args.part, output=args.output, image_size=args.image_size)
    print(export(args.model, args.out, **chosen, **vit_alone(args)))
