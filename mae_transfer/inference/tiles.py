"""Large images in overlapping tiles: where these lie, and how what is predicted in them is put together.

An object at the border between tiles is found once. Tiles overlap, so an object that is smaller than the overlap lies
whole in one of them; what the neighbours see of it is cut by their border. A box that reaches an inner border of its
tile is such a fragment:

- it is left out where another tile has the whole object: a box of the same class that does not reach an inner border,
  and is the same box within the area that both tiles see (IoU of .5 or more there), or holds .7 of the fragment;
- fragments of an object that is whole in no tile are sewn together, where they are the same box within the area that
  both tiles see: the hull of their boxes, all of their masks, the highest of their scores.

What is left passes non-maximum suppression for each class, as two tiles may have the whole object.

In label maps each pixel has the class that is predicted by the tile in whose middle it lies, i.e. overlaps are divided
at half; logits are not averaged, which would need the logits of all classes for the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torchvision.ops import batched_nms

from ..errors import UserError, is_number, is_whole
from .objects import Mask, Objects, union

#: Boxes of the same object in two tiles, within the area that both see; also of non-maximum suppression.
_SAME_IOU = 0.5
#: The share of a fragment that lies in the box of the whole object.
_FRAGMENT_SHARE = 0.7
#: How near to an inner border of a tile a box reaches it: a share of the tile's side, and the least, in pixels.
_NEAR_SHARE, _NEAR_LEAST = 0.01, 2


class Span(NamedTuple):
    """A tile along one side of an image: from ``start`` to ``end``, of which ``own_start`` to ``own_end`` are nearer
    to its middle than to that of another tile."""

    start: int
    end: int
    own_start: int
    own_end: int


class Tile(NamedTuple):
    """A part of an image."""

    rows: Span
    columns: Span

    @property
    def box(self) -> np.ndarray:
        """(4,): x1, y1, x2, y2."""
        return np.array([self.columns.start, self.rows.start, self.columns.end, self.rows.end], np.float32)


def check_tiling(tile: int | None, overlap: float) -> None:
    """Refuse impossible sizes of tiles; raises ``UserError``."""
    if tile is not None and not is_whole(tile, 32):
        raise UserError(f'tile is the side of a tile in pixels, 32 or more, or None for whole images; found {tile!r}')
    if not is_number(overlap) or not 0 <= overlap <= 0.75:
        raise UserError(f'overlap is the share of a tile that its neighbour sees, too, 0 to .75; found {overlap!r}')


def tiles_of(height: int, width: int, tile: int | None, overlap: float) -> list[Tile]:
    """The tiles of an image, row by row: one, the image itself, where it is no larger than a tile."""
    side = max(height, width) if tile is None else tile
    stride = max(1, side - round(side * overlap))
    return [Tile(rows, columns) for rows in _spans(height, side, stride) for columns in _spans(width, side, stride)]


def _spans(length: int, side: int, stride: int) -> list[Span]:
    """Tiles along one side; the last ends with the image, and so may begin earlier than a stride after the one
    before."""
    count = -(-max(length - side, 0) // stride) + 1
    ends = [min(number * stride + side, length) for number in range(count)]
    starts = [max(end - side, 0) for end in ends]
    middles = [(end + start) // 2 for end, start in zip(ends, starts[1:])]
    return [Span(*span) for span in zip(starts, ends, [0, *middles], [*middles, length])]


# Objects --------------------------------------------------------------------------------------------------------------


def join_objects(parts: Sequence[tuple[Tile, Objects]], height: int, width: int) -> Objects:
    """The objects of an image.

    Args:
        parts: what is predicted in each tile, in pixels of the image.
    """
    if len(parts) == 1:
        return parts[0][1]
    tile_boxes = np.stack([tile.box for tile, _ in parts])
    counts = [len(objects) for _, objects in parts]
    every = Objects.joined([objects for _, objects in parts])
    owner = np.repeat(np.arange(len(parts)), counts)
    is_cut = _are_cut(every.boxes, tile_boxes[owner], (height, width))
    fragments, same = _matches(every, owner, tile_boxes, is_cut)
    left_out = {fragment for fragment, _ in fragments}
    groups = _groups([number for number in np.flatnonzero(is_cut).tolist() if number not in left_out], same)
    kept = every.select(np.flatnonzero(~is_cut))
    joined = Objects.joined([kept, *(_sewn(every.select(np.array(group))) for group in groups)])
    chosen = batched_nms(
        *(torch.from_numpy(values) for values in (joined.boxes, joined.scores, joined.labels)), _SAME_IOU
    )
    return joined.select(chosen.numpy())


def _are_cut(boxes: np.ndarray, tiles: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(N,) bool: whether each box reaches an inner border of its tile; ``tiles`` (N, 4)."""
    sides = tiles[:, 2:] - tiles[:, :2]
    near = np.maximum(_NEAR_SHARE * sides, _NEAR_LEAST)
    inner_start, inner_end = tiles[:, :2] > 0, tiles[:, 2:] < np.array(shape[::-1])
    starts = inner_start & (boxes[:, :2] - tiles[:, :2] <= near)
    ends = inner_end & (tiles[:, 2:] - boxes[:, 2:] <= near)
    return (starts | ends).any(1)


def _matches(
    every: Objects, owner: np.ndarray, tiles: np.ndarray, is_cut: np.ndarray
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs (fragment, whole object) and pairs of fragments of one object, by their places among all objects."""
    fragments, same = list[tuple[int, int]](), list[tuple[int, int]]()
    for one in range(len(tiles)):
        cut = np.flatnonzero((owner == one) & is_cut)
        for other in range(len(tiles)) if len(cut) else ():
            shared = np.concatenate([np.maximum(*tiles[[one, other], :2]), np.minimum(*tiles[[one, other], 2:])])
            theirs = np.flatnonzero(owner == other)
            if one == other or not len(theirs) or (shared[2:] <= shared[:2]).any():
                continue
            iou, _ = _overlaps(_clipped(every.boxes[cut], shared), _clipped(every.boxes[theirs], shared))
            _, share = _overlaps(every.boxes[cut], every.boxes[theirs])
            of_class = every.labels[cut][:, None] == every.labels[theirs]
            is_same = of_class & (iou >= _SAME_IOU)
            is_part = of_class & (is_same | (share >= _FRAGMENT_SHARE)) & ~is_cut[theirs]
            fragments += [(int(cut[i]), int(theirs[j])) for i, j in np.argwhere(is_part)]
            same += [(int(cut[i]), int(theirs[j])) for i, j in np.argwhere(is_same & is_cut[theirs])]
    return fragments, same


def _clipped(boxes: np.ndarray, area: np.ndarray) -> np.ndarray:
    return np.concatenate([np.maximum(boxes[:, :2], area[:2]), np.minimum(boxes[:, 2:], area[2:])], 1)


def _overlaps(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, M): the IoU of boxes, and the share of the first that lies in the second; 0 for empty ones."""
    sides = np.minimum(one[:, None, 2:], other[None, :, 2:]) - np.maximum(one[:, None, :2], other[None, :, :2])
    inner = sides.clip(0).prod(2)
    areas, others = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (one, other))
    everything = areas[:, None] + others - inner
    return inner / everything.clip(1e-9), inner / areas[:, None].clip(1e-9)


def _groups(members: Sequence[int], pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Members that pairs connect, directly or by others."""
    parent = {member: member for member in members}

    def root(member: int) -> int:
        while parent[member] != member:
            member = parent[member]
        return member

    for one, other in pairs:
        if one in parent and other in parent:
            parent[root(one)] = root(other)
    groups: dict[int, list[int]] = {}
    for member in members:
        groups.setdefault(root(member), []).append(member)
    return [*groups.values()]


def _sewn(fragments: Objects) -> Objects:
    """One object of its fragments."""
    boxes = fragments.boxes
    hull = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None]
    masks: list[Mask] | None = None if fragments.masks is None else [union(fragments.masks)]
    best = fragments.scores.argmax()
    return Objects(hull, fragments.scores[[best]], fragments.labels[[best]], masks)


# Label maps -----------------------------------------------------------------------------------------------------------


def join_label_maps(parts: Sequence[tuple[Tile, np.ndarray]], height: int, width: int) -> np.ndarray:
    """The label map (height, width) of an image, from those of its tiles."""
    if len(parts) == 1:
        return parts[0][1]
    whole = np.zeros((height, width), parts[0][1].dtype)
    for (rows, columns), labels in parts:
        own = slice(rows.own_start, rows.own_end), slice(columns.own_start, columns.own_end)
        whole[own] = labels[
            rows.own_start - rows.start : rows.own_end - rows.start,
            columns.own_start - columns.start : columns.own_end - columns.start,
        ]
    return whole
