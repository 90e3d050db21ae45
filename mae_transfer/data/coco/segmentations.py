"""One segmentation in COCO's format: its odd forms as polygons or RLE, and what it covers."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .values import as_number, as_whole, brief

_WITHOUT = (
    'or learn boxes alone: --cfg-options model.roi_head.mask_head=None '
    'train_dataloader.dataset.pipeline.1.with_mask=False val_evaluator.metric=bbox test_evaluator.metric=bbox'
)
#: What is wrong with a segmentation, and what would be right; in the order in which faults are reported.
FAULTS = {
    'form': (
        'have a segmentation that is neither polygons nor RLE',
        'give [[x, y, x, y, ...], ...] in pixels, or RLE with counts and size',
    ),
    'number': (
        'have a polygon with a value that is no finite number',
        'polygons are [[x, y, x, y, ...], ...] in pixels',
    ),
    'odd': (
        'have a polygon with an odd number of coordinates',
        'polygons are [[x, y, x, y, ...], ...]: each point needs both',
    ),
    'far': (
        'have a polygon far outside of the image',
        'polygons are [[x, y, x, y, ...], ...] in pixels of the image as it is now',
    ),
    'turned': ('have RLE whose size is [width, height]', 'size is [height, width], and counts run down the columns'),
    'size': ('have RLE of another size than the image', 'size is [height, width] of the image'),
    'counts': (
        'have RLE whose counts are no run lengths',
        'give the lengths of the runs, or the text into which pycocotools encodes them',
    ),
    'sum': ('have RLE whose counts do not sum to height x width', 'all runs are needed, the last too'),
    'empty': (
        'have a segmentation without area, which training and evaluating masks requires',
        f'draw each object with three points or more, {_WITHOUT}',
    ),
    'none': ('have no segmentation, which training and evaluating masks requires', f'give polygons or RLE, {_WITHOUT}'),
}
#: Odd forms that have a plain meaning, and how they are taken.
FORMS = {
    'flat': ('have a polygon that is not in a list', 'taken as one polygon'),
    'pairs': ('have polygons of pairs', 'taken as [x, y, x, y, ...]'),
    'text': ('have a segmentation with numbers as text', 'taken as numbers'),
    'listed': ('have RLE in a list', 'taken as RLE'),
    'bytes': ("have RLE whose counts are Python's bytes, as text or as a list of numbers", 'taken as the text in them'),
    'short': (
        'have parts of polygons of fewer than three points, without area or outside of the image',
        'these parts are left out',
    ),
}
#: A polygon may extend beyond the image by this many of its longer sides; rasterising takes memory for all of it.
_FAR = 1.0


class SegmentationFault(Exception):
    """A segmentation that has no plain meaning: ``kind`` is among ``FAULTS``, ``detail`` tells more."""

    def __init__(self, kind: str, detail: str = '') -> None:
        super().__init__(kind)
        self.kind, self.detail = kind, detail


def plain_segmentation(segmentation: Any, width: int, height: int) -> tuple[list | dict, set[str]]:
    """A segmentation as a list of polygons ``[[x, y, x, y, ...], ...]`` or as RLE, and the kinds of its odd ``FORMS``.

    Args:
        segmentation: as the file has it.
        width, height: of the image, in pixels.

    Raises:
        SegmentationFault: it is none, is empty, or has no plain meaning.
    """
    if segmentation in (None, [], {}, ''):
        raise SegmentationFault('none')
    forms: set[str] = set()
    if isinstance(segmentation, list) and len(segmentation) == 1 and isinstance(segmentation[0], dict):
        segmentation = segmentation[0]
        forms.add('listed')
    if isinstance(segmentation, dict):
        return _plain_rle(segmentation, width, height, forms), forms
    if not isinstance(segmentation, list):
        raise SegmentationFault('form')
    polygons = []
    for polygon in _as_polygons(segmentation, forms):
        numbers: list[Any] = [as_number(value) for value in polygon]
        if None in numbers:
            raise SegmentationFault('number', f', value {brief(polygon[numbers.index(None)])}')
        if any(isinstance(value, str) for value in polygon):
            forms.add('text')
        if len(numbers) % 2:
            raise SegmentationFault('odd', f', {len(numbers)} values')
        if _covers(numbers, width, height):
            polygons.append(numbers)
        else:
            forms.add('short')
    if not polygons:
        raise SegmentationFault('empty')
    return polygons, forms


def _as_polygons(segmentation: list, forms: set[str]) -> list[list]:
    """The polygons of a list, each a flat list; their values are not looked at."""
    if not any(isinstance(part, list) for part in segmentation):
        forms.add('flat')
        return [segmentation]
    if not all(isinstance(part, list) for part in segmentation):
        raise SegmentationFault('form')
    if _are_points(segmentation):
        forms.add('pairs')
        return [[value for point in segmentation for value in point]]
    polygons = []
    for part in segmentation:
        if part and all(isinstance(point, list) for point in part):
            if not _are_points(part):
                raise SegmentationFault('form')
            forms.add('pairs')
            part = [value for point in part for value in point]
        polygons.append(part)
    return polygons


def _are_points(points: list) -> bool:
    return all(
        isinstance(point, list) and len(point) == 2 and not any(isinstance(value, (list, dict)) for value in point)
        for point in points
    )


def _covers(numbers: list[float], width: int, height: int) -> bool:
    """Whether a polygon has three points, an extent in x and y, and a part within the image."""
    if len(numbers) < 6:
        return False
    left, top, right, bottom = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    margin = _FAR * max(width, height)
    if left < -margin or top < -margin or right > width + margin or bottom > height + margin:
        raise SegmentationFault('far', f', x {left:g} to {right:g}, y {top:g} to {bottom:g}')
    return left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height


def _plain_rle(rle: dict, width: int, height: int, forms: set[str]) -> dict:
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, (list, str)):
        raise SegmentationFault('form')
    sides = [as_whole(side) for side in size]
    if sides != [height, width]:
        kind = 'turned' if sides == [width, height] else 'size'
        raise SegmentationFault(kind, f', size {brief(size)}, image {width} x {height}')
    if isinstance(counts, str):
        if counts[:2] in ("b'", 'b"'):
            forms.add('bytes')
            counts = _text_of_bytes(counts)
        runs = _decoded(counts)
    else:
        whole: list[Any] = [as_whole(count) for count in counts]
        if None in whole:
            raise SegmentationFault('counts', f', value {brief(counts[whole.index(None)])}')
        if any(isinstance(count, str) for count in counts):
            forms.add('text')
        counts = runs = whole
        if sum(runs) != height * width and (text := _text_of_codes(whole)) is not None:
            runs = _decoded(text)
            counts = text
            forms.add('bytes')
    if not runs or min(runs) < 0:
        raise SegmentationFault('counts')
    if (total := sum(runs)) != height * width:
        raise SegmentationFault('sum', f', sum {total}, image {width} x {height} = {width * height}')
    if not any(runs[1::2]):
        raise SegmentationFault('empty')
    return {**rle, 'size': sides, 'counts': counts}


def _text_of_bytes(text: str) -> str:
    try:
        return ast.literal_eval(text).decode('ascii')
    except (SyntaxError, ValueError, AttributeError, MemoryError):
        raise SegmentationFault('counts') from None


def _text_of_codes(codes: list[int]) -> str | None:
    """The text of a compressed RLE whose bytes are listed as numbers; None for run lengths."""
    return bytes(codes).decode('ascii') if all(48 <= code < 112 for code in codes) else None


def _decoded(counts: str) -> list[int]:
    """The run lengths of a compressed RLE.

    Format (cocoapi, `common/maskApi.c`, rleToString): each number is a little-endian sequence of characters
    ``48 + 5 bits``, the sixth bit says that more follow, the last one's fifth bit is the sign; from the fourth number
    on it is the difference to the run two places before.
    """
    try:
        codes = np.frombuffer(counts.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise SegmentationFault('counts') from None
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise SegmentationFault('counts')
    is_last = (codes & 32) == 0
    starts = np.flatnonzero(np.r_[True, is_last[:-1]])
    place = np.arange(len(codes)) - np.repeat(starts, np.diff(np.r_[starts, len(codes)]))
    if place.max() > 6:  # 7 x 5 bits: more pixels than any mask has
        raise SegmentationFault('counts')
    runs = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = is_last & (codes & 16 > 0)
    runs -= np.add.reduceat(np.where(negative, 1 << (5 * (place + 1)), 0), starts)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs.tolist()


def as_rle(segmentation: list | dict, width: int, height: int) -> dict:
    """The compressed RLE of a plain segmentation."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation['counts'], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation
