"""Weights of the official JAX ViT (``google-research/vision_transformer``; AugReg's .npz files) under timm's names.

Source of the names and axes: ``vit_jax/models_vit.py``. Layers of Flax have kernels (inputs, ..., outputs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...errors import CheckpointError

_PATCHES = 'embedding/kernel'
#: A name of a module or parameter -> timm's.
_NAMES = (
    (r'cls', 'cls_token'),
    (r'embedding', 'patch_embed.proj'),
    (r'Transformer/posembed_input/pos_embedding', 'pos_embed'),
    (r'Transformer/encoder_norm', 'norm'),
    (r'Transformer/encoderblock_(\d+)/LayerNorm_0', r'blocks.\1.norm1'),
    (r'Transformer/encoderblock_(\d+)/LayerNorm_2', r'blocks.\1.norm2'),
    (r'Transformer/encoderblock_(\d+)/MultiHeadDotProductAttention_1/(query|key|value)', r'blocks.\1.attn.\2'),
    (r'Transformer/encoderblock_(\d+)/MultiHeadDotProductAttention_1/out', r'blocks.\1.attn.proj'),
    (r'Transformer/encoderblock_(\d+)/MlpBlock_3/Dense_0', r'blocks.\1.mlp.fc1'),
    (r'Transformer/encoderblock_(\d+)/MlpBlock_3/Dense_1', r'blocks.\1.mlp.fc2'),
    (r'pre_logits', 'pre_logits.fc'),
    (r'head', 'head'),
)
_LEAVES = dict(kernel='weight', scale='weight', bias='bias')


def is_jax(names: Mapping[str, Any]) -> bool:
    """Whether names are those of a ViT in JAX."""
    return any(name == _PATCHES or name.endswith('/' + _PATCHES) for name in names)


def jax_to_timm(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the weights, and bring their axes into PyTorch's order.

    Raises:
        CheckpointError: blocks that are stacked in one array, or named otherwise, as in big_vision.
    """
    patches = next(name for name in state if name == _PATCHES or name.endswith('/' + _PATCHES))
    prefix, renamed = patches.removesuffix(_PATCHES), {}
    for name, value in state.items():
        if not name.startswith(prefix):
            continue
        module, _, leaf = name.removeprefix(prefix).rpartition('/')
        known = leaf in _LEAVES
        full = _rename(module if known else name.removeprefix(prefix))
        if full is None and re.match(r'Transformer/encoderblock', module):
            raise CheckpointError(
                f"'{name}' is of a ViT in JAX, but not named as vision_transformer's (as big_vision's): take its "
                "PyTorch weights, e.g. timm's"
            )
        if full is None:
            renamed[name] = value
        elif isinstance(value, Tensor):
            renamed[f'{full}.{_LEAVES[leaf]}' if known else full] = _in_torch_order(full, leaf, value)
    return renamed


def _rename(name: str) -> str | None:
    for pattern, replacement in _NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def _in_torch_order(module: str, leaf: str, value: Tensor) -> Tensor:
    if leaf == 'bias' and value.ndim == 2:  # of heads: (heads, head_dim)
        return value.flatten()
    if leaf != 'kernel':
        return value
    if value.ndim == 4:  # a convolution: (rows, columns, inputs, outputs)
        return value.permute(3, 2, 0, 1).contiguous()
    if value.ndim == 3:  # (inputs, heads, head_dim), or (heads, head_dim, outputs) after attention
        value = value.flatten(0, 1) if module.endswith('.proj') else value.flatten(1)
    return value.T.contiguous()
