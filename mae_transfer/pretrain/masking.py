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
        return mask.scatter_(1, self.keep, 0.0)


class Masking(nn.Module):
    """Hide the same number of patches in each image; which ones, a subclass says by putting them in order.

    Args:
        ratio: share of patches that is hidden; ``int(N * (1 - ratio))`` of N patches are kept, as in the official code,
            whose float rounding is part of the contract (100 patches at .9 keep 9).

    Raises:
        UserError: the ratio is not within (0, 1).
    """

    def __init__(self, ratio: float = 0.75):
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
            raise UserError(
                f'mask ratio {self.ratio} keeps {kept} of {grid[0]} x {grid[1]} patches: choose a ratio that keeps '
                'some and hides some'
            )
        return kept

    def noise_length(self, grid: tuple[int, int]) -> int:
        """How many random numbers an image's mask is made of."""
        return grid[0] * grid[1]

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """The N patches (B, N) of each image, those that stay visible the longest first; ``noise`` as in
        :meth:`forward`."""
        raise NotImplementedError

    def forward(self, grid: tuple[int, int], noise: Tensor) -> Mask:
        """Keep the first patches of the order.

        Args:
            grid: (rows, columns) of patches, N in all.
            noise: (B, ``noise_length(grid)``) uniform in [0, 1), see :func:`seeded_noise`.
        """
        order, kept = self.order(grid, noise), self.num_kept(grid)
        return Mask(order[:, :kept], order[:, kept:])


@MODELS.register_module()
class RandomMasking(Masking):
    """Hide patches uniformly at random (MAE section 3)."""

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """By rising noise."""
        return noise.argsort(dim=1, stable=True)  # equal noise is sorted alike on every device


@MODELS.register_module()
class BlockMasking(Masking):
    """Hide rectangles of patches (MAE Table 1f, "block"; BEiT section 2.3), and just as many patches in each image.

    Rectangle follows rectangle until enough is hidden. As in BEiT a rectangle's area is uniform between ``least_area``
    and what is left to hide, its aspect ratio log-uniform. What differs, so that batches stay dense and no draw is in
    vain: each rectangle covers at least one patch that is visible until then, and the last one is cut to the number
    wanted.

    Args:
        ratio: as of :class:`Masking`.
        least_area: smallest area of a rectangle, in patches (BEiT: 16, of 14 x 14).
        aspect: smallest ratio of height and width; the largest is its inverse (BEiT: .3).
    """

    # What these rectangles leave to hide is hidden patch by patch. Of 1000 masks of 14 x 14 patches at .5, .75 and .9
    # none has such a rest.
    ROUNDS = 20

    def __init__(self, ratio: float = 0.5, least_area: int = 16, aspect: float = 0.3):
        super().__init__(ratio)
        if least_area < 1 or not 0 < aspect <= 1:
            raise UserError(
                f'blocks have a least_area of at least 1 patch and an aspect above 0 and at most 1; found {least_area} '
                f'and {aspect}'
            )
        self.least_area, self.aspect = least_area, aspect

    def noise_length(self, grid: tuple[int, int]) -> int:
        """Five numbers for a rectangle (area, aspect, the patch it covers, its place around it), and one for each
        patch."""
        return 5 * self.ROUNDS + grid[0] * grid[1]

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """From what no rectangle covers to the first rectangle."""
        rows, columns = grid
        draws, scatter = noise[:, : 5 * self.ROUNDS].unflatten(1, (self.ROUNDS, 5)), noise[:, 5 * self.ROUNDS :]
        row, column = torch.arange(rows, device=noise.device)[:, None], torch.arange(columns, device=noise.device)
        total = rows * columns
        hidden_in = torch.full(
            (len(noise), total), self.ROUNDS, device=noise.device
        )  # the rectangle that hides each patch
        left = torch.full((len(noise),), total - self.num_kept(grid), device=noise.device)
        for step, (area, aspect, which, up, across) in enumerate(draws.movedim(0, 2)):
            least = left.clamp(max=self.least_area)
            area = least + area * (left - least)
            aspect = self.aspect ** (1 - 2 * aspect)
            height = (area * aspect).sqrt().round().long().clamp(1, rows)
            width = (area / aspect).sqrt().round().long().clamp(1, columns)
            visible = hidden_in == self.ROUNDS
            # The (which * count)-th of the visible patches.
            covered = (visible.cumsum(1) > (which * visible.sum(1)).long()[:, None]).long().argmax(1)
            top = _around(covered // columns, height, rows, up)
            start = _around(covered % columns, width, columns, across)
            inside_rows = (row.T >= top[:, None]) & (row.T < (top + height)[:, None])
            inside_columns = (column >= start[:, None]) & (column < (start + width)[:, None])
            new = visible & (inside_rows[:, :, None] & inside_columns[:, None]).flatten(1) & (left > 0)[:, None]
            hidden_in = hidden_in.masked_fill(new, step)
            left = (left - new.sum(1)).clamp(min=0)
        # A cut rectangle loses its first rows: within one, and only there, patches stay in image order.
        rank = hidden_in + torch.where(hidden_in == self.ROUNDS, scatter, 0.0)
        return rank.argsort(dim=1, descending=True, stable=True)


def _around(place: Tensor, length: Tensor, size: int, draw: Tensor) -> Tensor:
    """Starts (B,) of intervals within [0, size) that hold their places, uniformly drawn."""
    first = (place - length + 1).clamp(min=0)
    last = torch.minimum(place, size - length)
    return first + (draw * (last - first + 1)).long()


@MODELS.register_module()
class GridMasking(Masking):
    """Keep a regular grid, the same in every image (MAE Table 1f, "grid": one of every four patches at a ratio of .75).

    Other ratios and other counts keep the first patches of ordered dithering (Bayer's matrix), which fills a grid
    evenly: at .5 a chessboard, at 15/16 every fourth patch of every fourth row.
    """

    def noise_length(self, grid: tuple[int, int]) -> int:
        """None: nothing is drawn."""
        return 0

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """By rising threshold of the dither matrix."""
        row, column = torch.arange(grid[0])[:, None], torch.arange(grid[1])[None]
        threshold = torch.zeros(grid, dtype=torch.int64)
        for bit in range((max(grid) - 1).bit_length()):
            odd_row, odd_column = row >> bit & 1, column >> bit & 1
            threshold = (
                4 * threshold + (odd_row ^ odd_column) * 2 + odd_row
            )  # (0, 0), (1, 1), (0, 1), (1, 0) of each square
        return threshold.flatten().argsort(stable=True).expand(len(noise), -1).to(noise.device)


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
    return (bits >> 8).float() / 2**24
