"""Where the tokens of an image are, for attention that depends on it."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from .rotary import Rotary, Turn


class Places(NamedTuple):
    """Where the tokens are.

    Attributes:
        grid: (rows, columns) of the patches; windows and relative positions use it.
        table: relative positions that several blocks share.
        turn: rotary positions: turns queries and keys (B, heads, N, d).
    """

    grid: tuple[int, int]
    table: Tensor | None = None
    turn: Turn | None = None


def rotary_turns(
    rotary: Rotary | None, grid: tuple[int, int], num_special: int, window_size: int, like: Tensor, keep: Tensor | None
) -> tuple[Turn | None, Turn | None]:
    """The turns of all tokens of an image, and of those of a window; None without rotary positions.

    Args:
        grid: (rows, columns) of the image's patches.
        num_special: number of tokens in front, which are not turned: class token and registers.
        window_size: side of the windows, 0 for none.
        like: a tensor on the device of the tokens.
        keep: (B, K) numbers of the patches that there are; None for all in order.
    """
    if rotary is None:
        return None, None
    angles = rotary.angles(grid, grid, like.device)
    if keep is not None:
        angles = angles[keep][:, None]  # (B, 1, K, d / 2): the same for all heads
    everywhere = rotary.turn(F.pad(angles, (0, 0, num_special, 0)))
    if not window_size:
        return everywhere, None
    return everywhere, rotary.turn(rotary.angles((window_size, window_size), grid, like.device))
