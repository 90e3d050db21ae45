"""The cross entropy of logits that are resized to the label map, without storing the resized logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..vit.tiles import only_first_tile

#: Bytes of resized logits at a time: on a CPU what each core's cache holds, on a GPU few and large tiles.
CPU_TILE, GPU_TILE = 4 << 20, 256 << 20


class Sums(NamedTuple):
    """What :func:`resized_cross_entropy` adds up over all pixels; each of shape ().

    Args:
        loss: sum of the losses, each times the weight of its class. It alone has a gradient.
        weight: sum of the weights of the labelled pixels; their number without ``class_weight``.
        correct: number of labelled pixels whose class has the highest logit, alone or with others.
        labelled: number of pixels that are not ignored.
    """

    loss: Tensor
    weight: Tensor
    correct: Tensor
    labelled: Tensor


def resized_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
    align_corners: bool = False,
) -> Sums:
    """The cross entropy of ``F.interpolate(logits, labels' size, mode='bilinear')``, summed over the labelled pixels.

    Tile by tile, rows of the label map are resized, and their loss and the gradient of ``logits`` follow at once, so
    that neither the resized logits nor their softmax are ever whole: these take ``classes * H * W`` numbers an image,
    16 times as many as logits of stride 4. Resizing is linear: a product with a matrix for the rows and one for the
    columns. The computation is in float32 also under autocast, and waits for no GPU. (Where TF32 is allowed for
    products, which it is not by default, it holds for these, too.)

    Args:
        logits: (B, classes, h, w), of any floating type; computed in float32 at least.
        labels: (B, H, W), integers: class numbers, or ``ignore_index``.
        class_weight: (classes,), the weight of each class's pixels; None for 1.
        ignore_index: label of pixels that have neither loss nor gradient.
        align_corners: as in ``F.interpolate``.

    Raises:
        RuntimeError: from PyTorch, for a label that is no class.
    """
    is_labelled = labels != ignore_index
    loss, weight, correct = _ResizedCrossEntropy.apply(logits, labels, is_labelled, class_weight, align_corners)
    return Sums(loss, weight, correct, is_labelled.sum())


class _ResizedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, is_labelled: Tensor, class_weight: Tensor | None, align_corners: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        with torch.autocast(logits.device.type, enabled=False):
            # (B, h, classes, w): what one row needs is in one place, and the innermost dimension is that of the columns
            low = logits.to(dtype).transpose(1, 2).contiguous()
            height, width = labels.shape[1:]
            rows = _resizing_matrix(low.shape[1], height, low, align_corners)
            columns = _resizing_matrix(low.shape[3], width, low, align_corners).T.contiguous()
            gradient = torch.zeros_like(low) if ctx.needs_input_grad[0] else None
            if class_weight is not None:
                class_weight = class_weight.to(low)
            sums = [low.new_zeros(()), low.new_zeros(()), labels.new_zeros((), dtype=torch.int64)]
            for tile in _tiles(low, (height, width), align_corners):
                found = _add_tile(
                    low[tile.images, tile.sources],
                    rows[tile.rows, tile.sources],
                    columns,
                    labels[tile.images, tile.rows].unsqueeze(2),
                    is_labelled[tile.images, tile.rows].unsqueeze(2),
                    class_weight,
                    None if gradient is None else gradient[tile.images, tile.sources],
                )
                for total, value in zip(sums, found):
                    total += value
                if only_first_tile():
                    break
        ctx.dtype = logits.dtype
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(*sums[1:])
        return sums[0], sums[1], sums[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        (of_loss,) = ctx.saved_tensors
        return (of_loss * gradient).to(ctx.dtype).transpose(1, 2), None, None, None, None


def _add_tile(
    low: Tensor,
    rows: Tensor,
    columns: Tensor,
    labels: Tensor,
    is_labelled: Tensor,
    class_weight: Tensor | None,
    gradient: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute one tile, and add to the gradient.

    Args:
        low: (B, n, classes, w), the rows of the logits that the tile depends on.
        rows: (R, n) resizes these to the tile's.
        columns: (w, W) resizes the columns.
        labels, is_labelled: (B, R, 1, W)
        class_weight: (classes,) or None.
        gradient: that of ``low``, changed; None if none is needed.

    Returns:
        The sums of losses and of weights, and the number of correct pixels.
    """
    batch, sources, classes, _ = low.shape
    height, width = rows.shape[0], columns.shape[1]
    rows = rows.expand(batch, height, sources)
    wide = (low @ columns).view(batch, sources, classes * width)
    logits = rows.bmm(wide).view(batch, height, classes, width)

    logits -= logits.amax(2, keepdim=True)
    labels = torch.where(is_labelled, labels, 0).long()
    of_label = logits.gather(2, labels)
    correct = ((of_label == 0) & is_labelled).sum()
    exponentials = logits.exp_()
    total = exponentials.sum(2, keepdim=True)
    weight = is_labelled.to(low.dtype)
    if class_weight is not None:
        weight = weight * class_weight[labels]
    loss = torch.where(is_labelled, total.log() - of_label, 0).mul_(weight).sum()
    if gradient is not None:
        # Of the loss by the resized logits: weight * (softmax - 1 at the label). Then back through both resizings.
        of_logits = exponentials.mul_(weight / total)
        of_logits.scatter_(2, labels, of_logits.gather(2, labels) - weight)  # scatter_add_ may be nondeterministic
        of_rows = rows.mT.bmm(of_logits.view(batch, height, classes * width))
        gradient += of_rows.view(batch, sources, classes, width) @ columns.T
    return loss, weight.sum(), correct


class _Tile(NamedTuple):
    """A part of the label maps: images, rows, and the rows of the logits that these depend on."""

    images: slice
    rows: slice
    sources: slice


def _tiles(low: Tensor, size: tuple[int, int], align_corners: bool) -> Iterator[_Tile]:
    """Divide label maps of ``size`` for logits (B, h, classes, w): some rows of one image, or several images whole."""
    batch, sources, classes, _ = low.shape
    height, width = size
    limit = GPU_TILE if low.is_cuda else CPU_TILE * torch.get_num_threads()
    rows_at_once = max(1, limit // (classes * width * low.element_size()))
    images_at_once = max(1, rows_at_once // height)
    for image in range(0, batch, images_at_once):
        for row in range(0, height, rows_at_once):
            end = min(row + rows_at_once, height)
            first = _source(row, sources, height, align_corners)
            last = _source(end - 1, sources, height, align_corners)
            # The place is rounded in another way than PyTorch's, in float64. Rows more than needed have a weight of 0.
            needed = slice(max(int(first - 0.01), 0), min(int(last + 0.01) + 2, sources))
            yield _Tile(slice(image, image + images_at_once), slice(row, end), needed)


def _source(row: int, sources: int, height: int, align_corners: bool) -> float:
    """The place among the logits' rows that a row is interpolated at."""
    if align_corners:
        return row * (sources - 1) / max(height - 1, 1)
    return max((row + 0.5) * sources / height - 0.5, 0.0)


def _resizing_matrix(sources: int, size: int, like: Tensor, align_corners: bool) -> Tensor:
    """The matrix (size, sources) that ``F.interpolate`` multiplies one side of an image with: what it makes of 1."""
    ones = torch.eye(sources, dtype=like.dtype, device=like.device)
    return F.interpolate(ones[None], size=size, mode='linear', align_corners=align_corners)[0].T.contiguous()
