"""Masked photo, reconstruction and original next to each other: the layouts of the paper's Fig. 2 and Fig. 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .reconstruction_layout import placed, with_headings
from .shown_bands import ShownBands, with_captions

if TYPE_CHECKING:
    from ..pretraining import MAE
    from ..pretraining.masking import Mask, Masking

#: The pictures of a photo in :func:`reconstruction_sheet`.
TRIPLET = ('masked', 'reconstruction', 'original')


@torch.no_grad()
def reconstruction_sheet(
    model: MAE,
    batch: dict,
    margin: int = 2,
    shown: ShownBands | None = None,
    per_row: int = 1,
    paste: bool = True,
    zoom: int = 1,
    headings: bool = False,
) -> np.ndarray:
    """Draw three pictures for each photo (MAE Fig. 2): the visible patches, the reconstruction, the photo.

    Args:
        model: with a data preprocessor.
        batch: ``inputs`` (B, C, H, W) and ``seeds`` (B,), as from :func:`~mae_transfer.data.collate_photos`.
        margin: white pixels between the pictures.
        shown: which bands are shown. Their 2nd and 98th percentiles in the photo become black and white in its three
            pictures, and a caption below them says so. None for 8-bit colours or grey, which are shown as they are.
        per_row: photos next to each other.
        paste: as for ``MAE.reconstruct``.
        zoom: side of the square that a pixel is drawn as.
        headings: whether a line above the pictures says what they are.

    Returns:
        (height, width, 3) uint8.

    Raises:
        UserError: the model's target has no inverse.
    """
    inputs, seeds = _normalised(model, batch)
    mask = model.mask(inputs, seeds)
    columns = [_masked(model, inputs, mask), model.reconstruct(inputs, mask, paste), inputs]
    photos, captions = _pictures(model, columns, shown, zoom)
    blocks = [placed([pictures], margin, margin) for pictures in photos]
    if headings:
        blocks[:per_row] = [with_headings(block, TRIPLET, margin) for block in blocks[:per_row]]
    return _sheet(blocks, captions, per_row, margin)


@torch.no_grad()
def masking_sheet(
    model: MAE,
    batch: dict,
    maskings: Mapping[str, Masking],
    margin: int = 2,
    shown: ShownBands | None = None,
    paste: bool = True,
    zoom: int = 1,
) -> np.ndarray:
    """Draw each photo under several maskings, side by side (MAE Fig. 4).

    Above is what the encoder sees, below the photo and its reconstructions.

    Args:
        maskings: by the heading of their column.
        model, batch, margin, shown, paste, zoom: as for :func:`reconstruction_sheet`.

    Returns:
        (height, width, 3) uint8.

    Raises:
        UserError: the model's target has no inverse; a masking that hides no patch of these photos, or all.
    """
    inputs, seeds = _normalised(model, batch)
    masks = [model.mask(inputs, seeds, masking=masking) for masking in maskings.values()]
    columns = [_masked(model, inputs, mask) for mask in masks]
    columns += [model.reconstruct(inputs, mask, paste) for mask in masks]
    photos, captions = _pictures(model, [*columns, inputs], shown, zoom)
    blocks = []
    for pictures in photos:
        above, below, photo = pictures[: len(masks)], pictures[len(masks) : -1], pictures[-1]
        blocks.append(placed([[np.full_like(photo, 255), *above], [photo, *below]], margin, margin))
    blocks[0] = with_headings(blocks[0], ['original', *maskings], margin)
    return _sheet(blocks, captions, 1, 3 * margin)


def _normalised(model: MAE, batch: dict) -> tuple[Tensor, Tensor]:
    images = model.data_preprocessor(batch)
    return images['inputs'], images['seeds']


def _masked(model: MAE, inputs: Tensor, mask: Mask) -> Tensor:
    """Masked patches become zero, which is the mean colour, a neutral grey."""
    return inputs * (1 - mask.as_picture(model.grid(inputs), model.vit.patch_size))


def _pictures(
    model: MAE, columns: list[Tensor], shown: ShownBands | None, zoom: int
) -> tuple[list[list[np.ndarray]], list[str] | None]:
    """Normalised images (B, C, H, W), the photos last, as pictures (h, w, 3) uint8 of each photo; with captions, where
    bands are shown."""
    if shown is None:
        images = torch.stack([model.data_preprocessor.to_uint8(column) for column in columns], 1).cpu()
        images = images.expand(-1, -1, 3, -1, -1) if images.shape[2] == 1 else images[:, :, :3]
        return [[_zoomed(picture, zoom) for picture in photo] for photo in images.movedim(2, 4).numpy()], None
    values = [model.data_preprocessor.to_values(column).movedim(1, 3).cpu().numpy() for column in columns]
    photos, captions = [], []
    for photo in zip(*values):
        stretch = shown.stretch(photo[-1])
        photos.append([_zoomed(stretch.picture(image), zoom) for image in photo])
        captions.append(stretch.caption())
    return photos, captions


def _zoomed(picture: np.ndarray, zoom: int) -> np.ndarray:
    return picture.repeat(zoom, 0).repeat(zoom, 1)


def _sheet(blocks: list[np.ndarray], captions: list[str] | None, per_row: int, margin: int) -> np.ndarray:
    """The blocks of all photos, ``per_row`` next to each other, a caption below each."""
    gap = margin
    if captions is not None:  # which have a margin below themselves
        blocks, gap = [with_captions([block], [line], margin) for block, line in zip(blocks, captions)], 0
    rows = [blocks[first : first + per_row] for first in range(0, len(blocks), per_row)]
    return placed(rows, gap, 4 * margin)
