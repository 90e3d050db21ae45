"""Masked photo, reconstruction and original next to each other (the layout of the paper's Fig. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .shown_bands import ShownBands, with_captions

if TYPE_CHECKING:
    from ..pretraining import MAE


@torch.no_grad()
def reconstruction_sheet(model: MAE, batch: dict, margin: int = 2, shown: ShownBands | None = None) -> np.ndarray:
    """Draw a row for each photo: the visible patches, the reconstruction, the photo.

    Args:
        model: with a data preprocessor.
        batch: ``inputs`` (B, C, H, W) and ``seeds`` (B,), as from :func:`~mae_transfer.data.collate_photos`.
        margin: white pixels between the pictures.
        shown: which bands are shown. Their 2nd and 98th percentiles in the photo become black and white in its whole
            row, and a caption below it says so. None for 8-bit colours or grey, which are shown as they are.

    Returns:
        (height, width, 3) uint8.

    Raises:
        UserError: the model's target has no inverse.
    """
    images = model.data_preprocessor(batch)
    inputs, seeds = images['inputs'], images['seeds']
    mask = model.mask(inputs, seeds)
    hidden = mask.as_picture(model.grid(inputs), model.vit.patch_size)
    # Masked patches become zero, which is the mean colour, a neutral grey.
    columns = [inputs * (1 - hidden), model.reconstruct(inputs, mask), inputs]
    if shown is None:
        return _tile([model.data_preprocessor.to_uint8(column) for column in columns], margin)
    values = [model.data_preprocessor.to_values(column).movedim(1, 3).cpu().numpy() for column in columns]
    rows, captions = [], []
    for photo in zip(*values):
        stretch = shown.stretch(photo[-1])
        pictures = [torch.from_numpy(stretch.picture(image)).movedim(2, 0)[None] for image in photo]
        rows.append(_tile(pictures, margin))
        captions.append(stretch.caption())
    return with_captions(rows, captions, margin)


def _tile(columns: list[Tensor], margin: int) -> np.ndarray:
    pictures = torch.stack(columns, dim=1).cpu()  # (B, columns, C, H, W)
    if pictures.shape[2] == 1:
        pictures = pictures.expand(-1, -1, 3, -1, -1)
    batch, count, _, height, width = pictures.shape
    sheet = np.full((batch * (height + margin) - margin, count * (width + margin) - margin, 3), 255, np.uint8)
    for row in range(batch):
        for column in range(count):
            top, left = row * (height + margin), column * (width + margin)
            sheet[top : top + height, left : left + width] = pictures[row, column, :3].permute(1, 2, 0).numpy()
    return sheet
