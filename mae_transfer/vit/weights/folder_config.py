"""What a model folder of transformers or timm says of its ViT beside the weights: what no weight shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: transformers' names of activations -> those of :data:`~mae_transfer.vit.design.ACTIVATIONS`.
_ACTIVATIONS = dict(gelu='gelu', quick_gelu='quick_gelu', gelu_pytorch_tanh='gelu_tanh', gelu_new='gelu_tanh')


@dataclass(frozen=True)
class FolderConfig:
    """What is stated; None for what is not.

    Attributes:
        num_heads: attention heads.
        norm_eps: epsilon of the LayerNorms.
        activation: of the MLP, a name of :data:`~mae_transfer.vit.design.ACTIVATIONS`.
        image_size: (height, width) that the model is for.
        mean, std: of the images' channels, on a scale to 255.
    """

    num_heads: int | None = None
    norm_eps: float | None = None
    activation: str | None = None
    image_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def config_beside(path: Path) -> dict[str, Any]:
    """The ``config.json`` beside a file of weights, of a model of text and images the part for images; empty where
    there is none."""
    config = _read(path.parent / 'config.json')
    vision = config.get('vision_config')
    return dict(vision) if isinstance(vision, Mapping) else config


def folder_config(path: Path) -> FolderConfig:
    """What ``config.json`` (transformers, timm) and ``preprocessor_config.json`` (transformers) state.

    Args:
        path: the file of weights beside which they are.
    """
    config = config_beside(path)
    timm, arguments = (_mapping(config.get(name)) for name in ('pretrained_cfg', 'model_args'))
    images = _read(path.parent / 'preprocessor_config.json')
    sides = timm.get('input_size', [None])[1:] if timm else config.get('image_size')
    heads, eps = config.get('num_attention_heads', arguments.get('num_heads')), config.get('layer_norm_eps')
    return FolderConfig(
        num_heads=heads if isinstance(heads, int) else None,
        norm_eps=eps if isinstance(eps, float) else None,
        activation=_ACTIVATIONS.get(str(config.get('hidden_act'))),
        image_size=_pair(sides),
        mean=_to_255(timm.get('mean', images.get('image_mean'))),
        std=_to_255(timm.get('std', images.get('image_std'))),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError):  # no such file, or of another kind
        return {}
    return content if isinstance(content, dict) else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pair(sides: Any) -> tuple[int, int] | None:
    sides = [sides, sides] if isinstance(sides, int) else sides
    if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        return None
    return sides[0], sides[1]


def _to_255(values: Any) -> tuple[float, ...] | None:
    """Statistics of images from 0 to 1, on the scale of the files."""
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, (int, float)) for value in values):
        return None
    return tuple(255.0 * value for value in values) or None
