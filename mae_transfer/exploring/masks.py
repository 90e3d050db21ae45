"""Which patches of a photo are hidden: drawn by a masking, or chosen one by one."""

from __future__ import annotations

import copy

import numpy as np
import torch

from ..pretraining import Mask, Masking, seeded_noise
from ..pretraining.masking import MASKINGS

#: What the masking is called when patches were chosen one by one.
BY_HAND = 'by hand'


def maskings_of(own: Masking | None) -> dict[str, Masking]:
    """The maskings to choose from, by name; the run's own is among them, with its settings.

    Args:
        own: of the run; None for a run without one.
    """
    found = {name: own if type(own) is kind else kind() for name, kind in MASKINGS.items()}
    if own is not None and own not in found.values():
        found[type(own).__name__] = own
    return {name: masking for name, masking in found.items() if masking is not None}


def name_of(own: Masking | None, maskings: dict[str, Masking]) -> str:
    """The name of the run's own masking among :func:`maskings_of`; the first one's for None."""
    return next((name for name, masking in maskings.items() if masking is own), next(iter(maskings)))


def drawn(masking: Masking, ratio: float, grid: tuple[int, int], seed: int) -> np.ndarray:
    """The patches that a masking hides in a photo, as it hides them in training.

    Args:
        ratio: share of patches to hide, in place of the masking's own.
        grid: (rows, columns) of patches, N in all.
        seed: which of all masks.

    Returns:
        (N,) bool, row by row: whether a patch is hidden.

    Raises:
        UserError: a ratio that hides no patch of the grid, or all.
    """
    at_ratio = copy.copy(masking)  # the model keeps its own
    at_ratio.ratio = ratio
    noise = seeded_noise(torch.tensor([seed]), masking.noise_length(grid))
    return at_ratio(grid, noise).as_image_order()[0].bool().numpy()


def mask_of(hidden: np.ndarray, device: torch.device | str = 'cpu') -> Mask:
    """The mask of one photo, from whether each of its patches is hidden (N,) bool: all or none may be."""
    numbers = torch.from_numpy(np.concatenate([np.flatnonzero(~hidden), np.flatnonzero(hidden)]))[None].to(device)
    kept = int((~hidden).sum())
    return Mask(numbers[:, :kept], numbers[:, kept:])


def toggled(hidden: np.ndarray, patch: int) -> np.ndarray:
    """The same patches hidden, but for one, which is shown if it was hidden, and hidden if it was shown."""
    changed = hidden.copy()
    changed[patch] = ~changed[patch]
    return changed


def patch_at(x: float, y: float, size: tuple[int, int], grid: tuple[int, int]) -> int:
    """The number of the patch at a place of a picture.

    Args:
        x, y: pixels from the left and from the top.
        size: (height, width) of the picture in pixels.
        grid: (rows, columns) of patches.
    """
    row, column = int(y * grid[0] / size[0]), int(x * grid[1] / size[1])
    return min(max(row, 0), grid[0] - 1) * grid[1] + min(max(column, 0), grid[1] - 1)
