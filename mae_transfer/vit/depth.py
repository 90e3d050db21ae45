"""Depth of a parameter, from its name: the single source of layer-wise decay for all kinds of models."""

from __future__ import annotations

_EMBEDDINGS = ('cls_token', 'reg_token', 'mask_token', 'pos_embed', 'patch_embed', 'norm_pre')


def parameter_depth(name: str, num_blocks: int) -> int:
    """Depth of a parameter of a ViT (official code, ``util/lr_decay.py``; also the rule of BEiT and ViTDet).

    Args:
        name: the parameter's name within the ViT, or any name outside of it (a head's, a pyramid's).
        num_blocks: depth of the ViT.

    Returns:
        0 for the embeddings; i + 1 for block i, including its own relative positions; ``num_blocks + 1`` for everything
        else: final norm, heads, and relative positions that blocks share, which thus get the full learning rate (BEiT
        gives its shared ``rel_pos_bias`` the rate of the last layer).
    """
    first, _, rest = name.partition('.')
    if first in _EMBEDDINGS:
        return 0
    if first == 'blocks':
        return int(rest.partition('.')[0]) + 1
    return num_blocks + 1


def layer_scale(name: str, num_blocks: int, decay: float) -> float:
    """Factor on the learning rate of a parameter: ``decay ** (num_blocks + 1 - depth)``, 1 for heads and the final
    norm."""
    return decay ** (num_blocks + 1 - parameter_depth(name, num_blocks))
