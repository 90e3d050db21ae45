"""What makes MAE of another project compute the same as ours: its sizes, and the noise of its masks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor

from ..errors import UserError
from ..pretraining import MAE


@contextlib.contextmanager
def drawing(noise: Tensor | None) -> Iterator[None]:
    """``torch.rand`` gives this noise: projects that draw their masks within a method take none."""
    with contextlib.ExitStack() as stack:
        if noise is not None:
            stack.enter_context(mock.patch.object(torch, 'rand', lambda *_, **__: noise))
        yield


def side_of(ours: MAE) -> int:
    """Side of the images in pixels.

    Raises:
        UserError: images that are no squares, which other projects do not take.
    """
    rows, columns = ours.vit.grid
    if rows != columns:
        raise UserError(f'other projects take square images; found {rows} x {columns} patches')
    return rows * ours.vit.patch_size


def masked_share(ours: MAE) -> float:
    """The share of masked patches for which other projects keep as many as ours: they round down."""
    count = ours.vit.grid[0] * ours.vit.grid[1]
    return 1 - (ours.masking.num_kept(ours.vit.grid) + 0.5) / count
