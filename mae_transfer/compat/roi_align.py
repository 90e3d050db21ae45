"""RoIAlign on a CPU as sums of weighted rows, several times as fast as torchvision's loops; the same values.

What a bin of a region is pooled from are cells of the feature map, each with a weight: the mean over the samples of the
bin of a bilinear interpolation. The weights are products of one for the row and one for the column. So the output is a
weighted sum of the map's cells, which hold all channels side by side (``F.embedding_bag``), and the gradient of the map
is a weighted sum of the output's bins, in the order of cells instead of bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Regions at a time while weights are computed: they are padded to the largest among these.
_AT_ONCE = 64


class Pooling(NamedTuple):
    """How regions are pooled.

    Args:
        scale: of the map's sides to those that the boxes are given in.
        size: (rows, columns) of bins in a region.
        sampling_ratio: samples in a bin along each side; 0 for one for each cell that a bin is long, rounded up.
        aligned: pixels are squares around their centres, and regions may be of any size; False: as before 2019.
    """

    scale: float
    size: tuple[int, int]
    sampling_ratio: int
    aligned: bool


class _Entries(NamedTuple):
    """Which cells (N,) have which weights (N,), ordered by bins; how many each bin has (K * rows * columns,)."""

    cells: Tensor
    weights: Tensor
    counts: Tensor


def roi_align(features: Tensor, rois: Tensor, pooling: Pooling) -> Tensor:
    """Pool regions (K, 5), number of the image and box, of ``features`` (B, C, H, W): (K, C, rows, columns)."""
    batch, channels, height, width = features.shape
    entries = _entries(rois, pooling, height, width)
    cells = features.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    bins = _weighted_sums(cells, entries.cells, entries.weights, entries.counts)
    return bins.view(len(rois), *pooling.size, channels).permute(0, 3, 1, 2)


def roi_align_gradient(gradient: Tensor, rois: Tensor, shape: Sequence[int], pooling: Pooling) -> Tensor:
    """The gradient of ``features`` of ``shape`` from that of :func:`roi_align`'s output."""
    batch, channels, height, width = shape
    entries = _entries(rois, pooling, height, width)
    bins = gradient.permute(0, 2, 3, 1).reshape(-1, channels)
    of_entry = torch.repeat_interleave(entries.counts)
    order = entries.cells.argsort(stable=True)
    counts = torch.bincount(entries.cells, minlength=batch * height * width)
    cells = _weighted_sums(bins, of_entry[order], entries.weights[order], counts)
    return cells.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _weighted_sums(rows: Tensor, indices: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    offsets = F.pad(counts.cumsum(0), (1, 0))
    return F.embedding_bag(
        indices, rows, offsets, mode='sum', per_sample_weights=weights.to(rows.dtype), include_last_offset=True
    )


def _entries(rois: Tensor, pooling: Pooling, height: int, width: int) -> _Entries:
    none = rois.new_zeros(0, dtype=torch.int64)
    cells, weights, counts = [none], [rois.new_zeros(0)], [none]
    for some in rois.split(_AT_ONCE) if len(rois) else ():
        corners = some[:, 1:] * pooling.scale - (0.5 if pooling.aligned else 0.0)
        (left, top), (across, down) = corners[:, :2].T, (corners[:, 2:] - corners[:, :2]).T
        if not pooling.aligned:
            across, down = across.clamp(min=1), down.clamp(min=1)
        rows, of_rows = _along_one_side(top, down, pooling.size[0], pooling.sampling_ratio, height)
        columns, of_columns = _along_one_side(left, across, pooling.size[1], pooling.sampling_ratio, width)
        # (K, rows, columns, cells down, cells across), and the last two in one.
        image = some[:, 0].long().view(-1, 1, 1, 1, 1) * (height * width)
        cell = (image + rows[:, :, None, :, None] * width + columns[:, None, :, None, :]).flatten(3)
        weight = (of_rows[:, :, None, :, None] * of_columns[:, None, :, None, :]).flatten(3)
        is_used = weight != 0
        cells.append(cell[is_used])
        weights.append(weight[is_used])
        counts.append(is_used.sum(3).flatten())
    return _Entries(torch.cat(cells), torch.cat(weights), torch.cat(counts))


def _along_one_side(start: Tensor, length: Tensor, bins: int, samples: int, size: int) -> tuple[Tensor, Tensor]:
    """The cells along one side that each bin depends on, and their weights, both (K, bins, cells).

    Args:
        start, length: (K,), those of the regions, in cells.
        bins: number of bins.
        samples: as ``sampling_ratio``.
        size: number of the map's cells along this side.
    """
    is_finite = start.isfinite() & length.isfinite()  # others are empty, so that a step that diverged ends as such
    start, length = torch.where(is_finite, start, 0), torch.where(is_finite, length, 0)
    step = (length / bins).view(-1, 1, 1)
    count = torch.full_like(step, samples) if samples else step.ceil().clamp(min=0)
    number = torch.arange(max(int(count.max()), 1), dtype=start.dtype)
    first = start.view(-1, 1, 1) + torch.arange(bins, dtype=start.dtype).view(-1, 1) * step
    is_sample = number < count
    place = torch.where(is_sample, first + (number + 0.5) * step / count.clamp(min=1), first)
    # Beyond one cell outside of the map there is nothing; nearer samples take the value at the edge.
    share = torch.where(is_sample & (place >= -1) & (place <= size), 1 / count.clamp(min=1), 0)
    place = place.clamp(0, size - 1)
    cell = place.floor()
    beyond, cell = place - cell, cell.long()
    lowest = cell.amin(2, keepdim=True)
    offset = cell - lowest
    weights = start.new_zeros(*cell.shape[:2], int(offset.max()) + 2)
    weights.scatter_add_(2, offset, share * (1 - beyond)).scatter_add_(2, offset + 1, share * beyond)
    return (lowest + torch.arange(weights.shape[2])).clamp(max=size - 1), weights
