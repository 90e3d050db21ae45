"""The size of the ViT in some weights, read from the weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..paths import shown, user_path
from ..vit.sizes import SIZES, Size, name_of, resolve_size
from ..vit.weights.checkpoint import find_checkpoint, read_checkpoint, read_weights, width_and_depth
from ..vit.weights.stated_config import stated_setting


@dataclass(frozen=True)
class WeightsSize:
    """The size of a ViT.

    Attributes:
        arch: as in ``ViT(arch=...)``: a name such as 'base', or '192x5x3'.
        patch_size: the side of its patches.
    """

    arch: str
    patch_size: int


def size_of_weights(weights: str | os.PathLike) -> WeightsSize:
    """The size of the ViT in a file, or in the work_dir of a run.

    Width, depth and patches are those of its tensors. They do not show the number of heads: that is the one of the
    config of the run that wrote the file, or of the size of :data:`~mae_transfer.vit.sizes.SIZES` that is as wide and
    as deep.

    Raises:
        UserError: no such file; no ViT in it; a number of heads that nothing tells.
    """
    path = find_checkpoint(user_path(weights, 'weights'))
    encoder, meta = read_weights(path).encoder, read_checkpoint(path).get('meta')
    width, depth = width_and_depth(encoder)
    patches = encoder.get('patch_embed.proj.weight')
    if width is None or not depth or patches is None:
        raise UserError(f"{shown(path)} holds no whole ViT, so that its size cannot be told: give arch, e.g. 'base'")
    for size in _stated_sizes(stated_setting(meta, 'model')):
        if (size.embed_dim, size.depth) == (width, depth):
            return WeightsSize(name_of(size), patches.shape[-1])
    for name, known in SIZES.items():
        if (known.embed_dim, known.depth) == (width, depth):
            return WeightsSize(name, patches.shape[-1])
    raise UserError(
        f'{shown(path)} is a ViT of width {width} and depth {depth}, and no weight shows how many heads it has: give '
        f"arch='{width}x{depth}xHEADS', e.g. arch='{width}x{depth}x{max(1, width // 64)}'"
    )


def _stated_sizes(node: Any) -> Iterator[Size]:
    """The sizes that a config of a model states, in whatever part of it."""
    if not isinstance(node, Mapping):
        return
    if 'arch' in node:
        try:
            yield resolve_size(node['arch'])
        except (UserError, TypeError):  # another model's arch
            pass
    for child in node.values():
        yield from _stated_sizes(child)
