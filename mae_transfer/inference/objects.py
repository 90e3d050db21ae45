"""Detected objects: boxes, scores, classes and masks, which are kept as small as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask


class Mask(NamedTuple):
    """The pixels (h, w) bool of an object, and where in the image they begin."""

    top: int
    left: int
    pixels: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray, top: int = 0, left: int = 0) -> Mask:
        """The smallest mask with the same pixels; ``top`` and ``left`` are the place of the given ones."""
        rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
        if not len(rows):
            return cls(top, left, pixels[:0, :0])
        inner = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(top + int(rows[0]), left + int(columns[0]), inner.copy())

    def encoded(self, height: int, width: int) -> dict[str, Any]:
        """COCO's run-length encoding of the mask in an image of that size, as text; the image is not filled."""
        framed = np.zeros((self.pixels.shape[0] + 2, self.pixels.shape[1]), np.int8)
        framed[1:-1] = self.pixels
        columns, rows = np.nonzero(np.diff(framed, axis=0).T)
        # Where runs begin and end by turns, in columns one after the other; a run may go on in the next column.
        places = (columns + self.left) * height + rows + self.top
        starts, ends = places[::2], places[1::2]
        goes_on = starts[1:] == ends[:-1]
        borders = np.stack([starts[np.r_[True, ~goes_on]], ends[np.r_[~goes_on, True]]], 1) if len(starts) else places
        counts = np.diff(np.r_[0, borders.ravel(), height * width]).tolist()
        if not counts[-1]:  # a mask that ends with the image
            counts.pop()
        encoded = coco_mask.frPyObjects(dict(counts=counts, size=[height, width]), height, width)
        return dict(size=[height, width], counts=encoded['counts'].decode())


def union(masks: Sequence[Mask]) -> Mask:
    """All pixels of several masks."""
    filled = [mask for mask in masks if mask.pixels.size]
    if not filled:
        return masks[0]
    top, left = min(mask.top for mask in filled), min(mask.left for mask in filled)
    bottom = max(mask.top + mask.pixels.shape[0] for mask in filled)
    right = max(mask.left + mask.pixels.shape[1] for mask in filled)
    pixels = np.zeros((bottom - top, right - left), bool)
    for mask in filled:
        rows, columns = mask.top - top, mask.left - left
        pixels[rows : rows + mask.pixels.shape[0], columns : columns + mask.pixels.shape[1]] |= mask.pixels
    return Mask(top, left, pixels)


@dataclass(frozen=True)
class Objects:
    """N objects of an image.

    Attributes:
        boxes: (N, 4) float32: x1, y1, x2, y2, in pixels of the image.
        scores: (N,) float32.
        labels: (N,) int64, from 0.
        masks: N masks; None for a model without them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: list[Mask] | None

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, places: np.ndarray) -> Objects:
        """Some of the objects."""
        masks = None if self.masks is None else [self.masks[place] for place in places]
        return Objects(self.boxes[places], self.scores[places], self.labels[places], masks)

    @classmethod
    def joined(cls, parts: Sequence[Objects]) -> Objects:
        """The objects of several parts, one after the other."""
        masks = None if parts[0].masks is None else [mask for part in parts for mask in part.masks or ()]
        boxes, scores, labels = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ('boxes', 'scores', 'labels')
        )
        return cls(boxes, scores, labels, masks)

    @classmethod
    def of_instances(cls, instances: Any, top: int = 0, left: int = 0) -> Objects:
        """The objects of MMDetection's ``pred_instances``, in an image of which its own begins at (top, left)."""
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).float().cpu().numpy()
        masks = None
        if 'masks' in instances:
            pixels = instances.masks
            pixels = pixels.cpu().numpy() if hasattr(pixels, 'cpu') else np.asarray(pixels)
            masks = [Mask.of(mask.astype(bool, copy=False), top, left) for mask in pixels]
        return cls(
            boxes + np.array([left, top, left, top], np.float32),
            instances.scores.float().cpu().numpy(),
            instances.labels.cpu().numpy(),
            masks,
        )
