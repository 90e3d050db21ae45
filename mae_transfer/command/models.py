"""Options that name a model and where it computes, for several subcommands."""

from __future__ import annotations

import argparse
from typing import Any


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where the model computes."""
    parser.add_argument('--device', help="'cpu', 'cuda', 'cuda:1', ...; default a GPU, if there is one")


def add_vit_alone(parser: argparse.ArgumentParser) -> None:
    """What the file of a ViT alone does not show."""
    group = parser.add_argument_group('of the weights of a ViT alone, where the file does not show it')
    group.add_argument('--arch', help='its size: base, large, or WIDTHxDEPTHxHEADS')
    group.add_argument('--init', help='what it was pre-trained by: see docs/starts.md')
    group.add_argument('--weights-key', metavar='KEY', help='which ViT of several in the file')


def vit_alone(args: argparse.Namespace) -> dict[str, Any]:
    """What was said of a ViT alone."""
    return dict(arch=args.arch, init=args.init, weights_key=args.weights_key)
