"""Which patches of an image the encoder sees, and which it must guess."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS


class Mask(NamedTuple):
    """The two parts of an image's patches, by row-major patch number.

    ``keep`` (B, K) and ``masked`` (B, M) are int64 and together hold each of the K + M patches once.
    """
    keep: Tensor
    masked: Tensor

    def as_image_order(self) -> Tensor:
        """(B, K + M) float: 0 for kept and 1 for masked patches, in row-major order (the official code's ``mask``)."""
        batch, num_kept = self.keep.shape
        mask = torch.ones(batch, num_kept + self.masked.shape[1], device=self.keep.device)
        return mask.scatter_(1, self.keep, 0.)


@MODELS.register_module()
class RandomMasking(nn.Module):
    """Hide patches uniformly at random, the same number in each image (MAE section 3).

    Args:
        ratio: share of patches that is hidden; ``int(N * (1 - ratio))`` of N patches are kept, as in the official code,
            whose float rounding is part of the contract (100 patches at .9 keep 9).

    Raises:
        UserError: the ratio is not within (0, 1).
    """

    def __init__(self, ratio: float = .75):
        super().__init__()
        if not 0 < ratio < 1:
            raise UserError(f'a mask ratio lies strictly between 0 and 1; found {ratio}')
        self.ratio = ratio

    def num_kept(self, grid: tuple[int, int]) -> int:
        """How many patches of a (rows, columns) grid stay visible.

        Raises:
            UserError: none would, or all would.
        """
        total = grid[0] * grid[1]
        kept = int(total * (1 - self.ratio))
        if not 0 < kept < total:
            raise UserError(f'mask ratio {self.ratio} keeps {kept} of {grid[0]} x {grid[1]} patches: choose a ratio that keeps some and hides some')
        return kept

    def forward(self, batch: int, grid: tuple[int, int], noise: Tensor) -> Mask:
        """Keep the patches of lowest noise.

        Args:
            batch: number B of images.
            grid: (rows, columns) of patches, N in all.
            noise: (B, N), see :func:`seeded_noise`.
        """
        order = noise.argsort(dim=1, stable=True)  # equal noise is sorted alike on every device
        kept = self.num_kept(grid)
        return Mask(order[:, :kept], order[:, kept:])


def seeded_noise(seeds: Tensor, length: int) -> Tensor:
    """Uniform noise that depends on nothing but each image's seed.

    A counter-based generator (the finaliser of MurmurHash3 over seed and position), so an image is masked alike on any
    device, at any place in a batch and by any number of processes: with the same global batch, one GPU and sixty-four
    compute the same loss.

    Args:
        seeds: (B,) int64.
        length: N.

    Returns:
        (B, N) float32 in [0, 1).
    """
    def mix(x: Tensor) -> Tensor:
        # 32-bit arithmetic in int64: products of a 32-bit value with a constant below 2**31 cannot overflow.
        x = (x ^ (x >> 16)) * 0x45D9F3B & 0xFFFFFFFF
        x = (x ^ (x >> 16)) * 0x45D9F3B & 0xFFFFFFFF
        return x ^ (x >> 16)

    low, high = seeds & 0xFFFFFFFF, (seeds >> 32) & 0xFFFFFFFF
    key = mix(mix(low) ^ high)[:, None]
    counter = torch.arange(length, device=seeds.device)[None]
    bits = mix(mix(key ^ mix(counter + 0x1234567)) + counter & 0xFFFFFFFF)
    # 24 bits are what float32 holds exactly; the 8 that are left break ties in the sort's favour only once in 2**24.
    return (bits >> 8).float() / 2 ** 24
