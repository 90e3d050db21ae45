"""Images of data sets of photos, as the model is given them, and their names."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..paths import shown
from ..visualization.shown_bands import shown_of


def picture_of(image: Tensor, dataset: Any) -> np.ndarray:
    """An image (C, H, W) with the values of the files as (H, W, 3) uint8; of numbered bands the first three, stretched.

    Args:
        dataset: that it is of.
    """
    values = image.movedim(0, 2).cpu().numpy()
    bands = shown_of(dataset, values.shape[2])
    if bands is not None:
        return bands.stretch(values).picture(values)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)).astype(np.uint8))


def name_of(dataset: Any, index: int) -> str:
    """The name of an image of a data set, or of a wrapper of some, in one line."""
    while hasattr(dataset, 'locate'):
        dataset, index = dataset.locate(index)
    return shown(dataset.name(index)) if hasattr(dataset, 'name') else f'image {index}'
