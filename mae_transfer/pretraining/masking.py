"""Which patches of an image the encoder sees, and which are masked and must be predicted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS


class Mask(NamedTuple):
    """Kept and masked patches of each image, by row-major patch number.

    ``keep`` (B, K) and ``masked`` (B, M) are int64; together they contain each of the K + M patches exactly once.
    """

    keep: Tensor
    masked: Tensor

    def as_image_order(self) -> Tensor:
        """(B, K + M) float: 0 for kept and 1 for masked patches, in row-major order (the official code's ``mask``)."""
        batch, num_kept = self.keep.shape
        mask = torch.ones(batch, num_kept + self.masked.shape[1], device=self.keep.device)
        return mask.scatter_(1, self.keep, 0.0)

    def as_picture(self, grid: tuple[int, int], patch_size: int) -> Tensor:
        """The mask at the resolution of the images, to be multiplied with them.

        Args:
            grid: (rows, columns) of patches; rows * columns = K + M.
            patch_size: side of a patch in pixels.

        Returns:
            (B, 1, rows * patch_size, columns * patch_size) float: 0 for pixels of kept and 1 for those of masked
            patches.
        """
        mask = self.as_image_order().unflatten(1, (1, *grid))
        return mask.repeat_interleave(patch_size, 2).repeat_interleave(patch_size, 3)


class Masking(nn.Module):
    """Base class of all maskings, which mask the same number of patches in each image.

    To add a masking, derive from this class, register the class with ``@MODELS.register_module()`` and name it in a
    config, ``model.masking=dict(type='MyMasking', ratio=.6)``; further keys are passed to ``__init__``.

    Shapes: B images with a grid of (rows, columns) patches, N = rows * columns in all, numbered row by row.

    A subclass must implement :meth:`order`: from ``grid`` and ``noise`` (B, L) to (B, N) int64, the numbers of all
    patches of each image, those to keep first. It may override :meth:`noise_length`, from ``grid`` to L, if it needs
    more or fewer random numbers than one for each patch. The base class does the rest: it computes how many patches are
    kept (:meth:`num_kept`) and cuts the order into the kept and the masked ones (:meth:`forward`).

    A subclass may rely on ``noise``: L independent numbers for each image, uniform in [0, 1), float32, which depend on
    the seed of the image alone. It must draw no other random numbers, and the order of an image must depend on its own
    row of ``noise`` alone; then an image gets the same mask in every batch, on every device and with any number of
    processes. The grid can differ between batches. A masking has no parameters and sees neither the model nor the
    images.

    Args:
        ratio: share of patches that are masked; ``int(N * (1 - ratio))`` of N patches are kept, as in the official
            code, with its float rounding (at .9, 9 of 100 patches are kept).

    Raises:
        UserError: the ratio is not strictly between 0 and 1.
    """

    def __init__(self, ratio: float = 0.75):
        super().__init__()
        if not isinstance(ratio, float | int) or not 0 < ratio < 1:
            raise UserError(f'masking.ratio must lie strictly between 0 and 1; found {ratio}')
        self.ratio = ratio

    def num_kept(self, grid: tuple[int, int]) -> int:
        """Number of patches of a (rows, columns) grid that are kept.

        Raises:
            UserError: none would be kept, or all.
        """
        total = grid[0] * grid[1]
        kept = int(total * (1 - self.ratio))
        if not 0 < kept < total:
            raise UserError(
                f'masking.ratio {self.ratio} keeps {kept} of {grid[0]} x {grid[1]} patches: choose a ratio that keeps '
                'some and masks some'
            )
        return kept

    def noise_length(self, grid: tuple[int, int]) -> int:
        """Number L of random numbers that :meth:`order` needs for one image, 0 or more; by default one for each
        patch."""
        return grid[0] * grid[1]

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """Put the patches of each image in order; the first ``num_kept(grid)`` of them are kept.

        Args:
            grid: (rows, columns) of patches, N in all; any grid must be possible.
            noise: (B, L) float32, uniform in [0, 1); L = ``noise_length(grid)``.

        Returns:
            (B, N) int64 on the device of ``noise``: each row is a permutation of the row-major patch numbers 0 to
            N - 1 and depends on the same row of ``noise`` alone.
        """
        raise NotImplementedError(f'{type(self).__name__} must implement order')

    def forward(self, grid: tuple[int, int], noise: Tensor) -> Mask:
        """Keep the first ``num_kept(grid)`` patches of the order and mask the rest.

        Args:
            grid: (rows, columns) of patches, N in all.
            noise: (B, ``noise_length(grid)``) float32, uniform in [0, 1), e.g. from :func:`seeded_noise`.

        Raises:
            UserError: as :meth:`num_kept`.
        """
        order, kept = self.order(grid, noise), self.num_kept(grid)
        return Mask(order[:, :kept], order[:, kept:])


@MODELS.register_module()
class RandomMasking(Masking):
    """Mask patches uniformly at random (MAE section 3)."""

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """In order of increasing noise."""
        return noise.argsort(dim=1, stable=True)  # stable: every device breaks ties in the same way


@MODELS.register_module()
class BlockMasking(Masking):
    """Mask rectangles of patches (MAE Table 1f, "block"; BEiT section 2.3), the same number of patches in each image.

    Rectangles are drawn one after another until enough patches are masked. As in BEiT, the area of a rectangle is
    uniform between ``least_area`` and the number of patches still to be masked, and its aspect ratio is log-uniform.
    Unlike in BEiT, each rectangle covers at least one patch that was not masked before, so that no draw is wasted, and
    the last one is cut to the number of patches still to be masked, so that all images mask the same number.

    Args:
        ratio: as for :class:`Masking`.
        least_area: smallest area of a rectangle in patches (BEiT: 16, of 14 x 14).
        aspect: smallest ratio of height to width; the largest is its inverse (BEiT: .3).

    Raises:
        UserError: a ratio, area or aspect outside its bounds.
    """

    # If 20 rectangles do not reach the ratio, the rest is drawn patch by patch. Of 1000 masks of 14 x 14 patches at .5,
    # .75 and .9, none needed that.
    ROUNDS = 20

    def __init__(self, ratio: float = 0.5, least_area: int = 16, aspect: float = 0.3):
        super().__init__(ratio)
        if least_area < 1 or not 0 < aspect <= 1:
            raise UserError(
                'BlockMasking takes a least_area of at least 1 patch and an aspect above 0 and at most 1; found '
                f'least_area={least_area}, aspect={aspect}'
            )
        self.least_area, self.aspect = least_area, aspect

    def noise_length(self, grid: tuple[int, int]) -> int:
        """Five numbers for each rectangle (area, aspect, a patch that it covers, its vertical and horizontal position
        around that patch) and one for each patch."""
        return 5 * self.ROUNDS + grid[0] * grid[1]

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """Patches outside of all rectangles come first, then the rectangles, the last one first."""
        rows, columns = grid
        draws = noise[:, : 5 * self.ROUNDS].unflatten(1, (self.ROUNDS, 5))
        tie_break = noise[:, 5 * self.ROUNDS :]
        row, column = torch.arange(rows, device=noise.device), torch.arange(columns, device=noise.device)
        # Number of the rectangle that masks each patch; ROUNDS if none does.
        masked_by = torch.full((len(noise), rows * columns), self.ROUNDS, device=noise.device)
        remaining = torch.full((len(noise),), rows * columns - self.num_kept(grid), device=noise.device)
        for number, (area, aspect, which, up, across) in enumerate(draws.movedim(0, 2)):
            least = remaining.clamp(max=self.least_area)
            area = least + area * (remaining - least)
            aspect = self.aspect ** (1 - 2 * aspect)
            height = (area * aspect).sqrt().round().long().clamp(1, rows)
            width = (area / aspect).sqrt().round().long().clamp(1, columns)
            visible = masked_by == self.ROUNDS
            # The rectangle covers the (which * count)-th of the ``count`` visible patches.
            covered = (visible.cumsum(1) > (which * visible.sum(1)).long()[:, None]).long().argmax(1)
            top = _around(covered // columns, height, rows, up)[:, None]
            left = _around(covered % columns, width, columns, across)[:, None]
            in_rows = (row >= top) & (row < top + height[:, None])
            in_columns = (column >= left) & (column < left + width[:, None])
            inside = (in_rows[:, :, None] & in_columns[:, None, :]).flatten(1)
            new = visible & inside & (remaining > 0)[:, None]
            masked_by = masked_by.masked_fill(new, number)
            remaining = (remaining - new.sum(1)).clamp(min=0)
        # The sort is stable, so patches of a rectangle stay in image order: one that is cut loses its first rows.
        rank = masked_by + torch.where(masked_by == self.ROUNDS, tie_break, 0.0)
        return rank.argsort(dim=1, descending=True, stable=True)


def _around(place: Tensor, length: Tensor, size: int, draw: Tensor) -> Tensor:
    """Starts (B,) of intervals of the given lengths within [0, size) that contain ``place``; ``draw``, uniform in
    [0, 1), chooses among the possible starts."""
    first = (place - length + 1).clamp(min=0)
    last = torch.minimum(place, size - length)
    return first + (draw * (last - first + 1)).long()


@MODELS.register_module()
class GridMasking(Masking):
    """Keep a regular grid, the same in every image (MAE Table 1f, "grid": one of every four patches at a ratio of .75).

    For any ratio, the kept patches are those with the lowest thresholds in ordered dithering (Bayer's matrix), which
    fills a grid evenly: at .5 a chessboard, at 15/16 every fourth patch of every fourth row.
    """

    def noise_length(self, grid: tuple[int, int]) -> int:
        """0: nothing is drawn."""
        return 0

    def order(self, grid: tuple[int, int], noise: Tensor) -> Tensor:
        """In order of increasing threshold in the dither matrix."""
        row, column = torch.arange(grid[0])[:, None], torch.arange(grid[1])[None]
        threshold = torch.zeros(grid, dtype=torch.int64)
        for bit in range((max(grid) - 1).bit_length()):
            odd_row, odd_column = row >> bit & 1, column >> bit & 1
            # In each square of 2 x 2: (0, 0), then (1, 1), (0, 1), (1, 0).
            threshold = 4 * threshold + (odd_row ^ odd_column) * 2 + odd_row
        return threshold.flatten().argsort(stable=True).expand(len(noise), -1).to(noise.device)


def seeded_noise(seeds: Tensor, length: int) -> Tensor:
    """Uniform noise that depends only on the seed of each image.

    A counter-based generator (a MurmurHash3-style finaliser over seed and position): an image gets the same mask on any
    device, at any position in a batch and with any number of processes, so with the same global batch one GPU and
    sixty-four compute the same loss.

    Args:
        seeds: (B,) int64.
        length: numbers per image, L.

    Returns:
        (B, L) float32 in [0, 1).
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
    # float32 holds 24 bits exactly; two numbers of an image are equal once in 2**24 pairs.
    return (bits >> 8).float() / 2**24


#: The maskings by the paper's names for them (MAE Table 1f).
MASKINGS: dict[str, type[Masking]] = {'random': RandomMasking, 'block': BlockMasking, 'grid': GridMasking}
