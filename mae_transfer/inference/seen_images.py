"""What the images of a model are like, as its preprocessor and its config say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from mmengine.model import ImgDataPreprocessor
from torch import nn

from ..data.files.bands import resolve_bands
from ..errors import UserError
from ..paths import shown


class SeenImages(NamedTuple):
    """What the images of a model are like.

    Attributes:
        bands: of image files: 'RGB', 'L' (grey) or their numbers.
        mean, std: of the channels, on the scale of the files, in the order that the model takes.
        reads_bgr: whether the model takes blue first, as OpenCV reads colours.
    """

    bands: str | tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reads_bgr: bool


def seen_images(model: nn.Module, cfg: Mapping | None, channels: int, name: str) -> SeenImages:
    """What the images of a model are like.

    Args:
        cfg: of its run; None for the bands that go with ``channels``, of its ViT.
        name: what messages call the model.

    Raises:
        UserError: no preprocessor that normalises.
    """
    preprocessor = getattr(model, 'data_preprocessor', None)
    statistics: list[tuple[float, ...]] = []
    for value in ('mean', 'std'):
        numbers = getattr(preprocessor, value, None)
        if not isinstance(numbers, torch.Tensor):
            raise UserError(f'{shown(name)} does not normalise images: its data_preprocessor has no {value}')
        statistics.append(tuple(numbers.flatten().tolist()))
    by_number = {1: 'L', 3: 'RGB'}.get(channels, tuple(range(1, channels + 1)))
    bands = resolve_bands((cfg or {}).get('bands') or by_number)
    # MMEngine has no public name for whether its preprocessor turns BGR, which OpenCV reads, into RGB; ours get RGB.
    turns = not isinstance(preprocessor, ImgDataPreprocessor) or preprocessor._channel_conversion
    return SeenImages(bands, statistics[0], statistics[1], reads_bgr=bands == 'RGB' and not turns)
