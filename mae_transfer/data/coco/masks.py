"""The masks of a file in COCO's format: odd forms are taken, faulty ones refused, all are compared with the boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from pycocotools import mask as coco_mask

from .agreement import compare_masks_with_boxes
from .segmentations import FAULTS, FORMS, SegmentationFault, as_rle, plain_segmentation
from .values import Tally, note, refuse, types_of

#: Share of annotations whose masks may be without area: such objects are then left out. None is known in COCO 2017;
#: its two boxes of zero height have such polygons.
TOLERATED_EMPTY = 1e-4
#: Polygons that are looked at at once: bounds the memory for a copy of their points.
_CHUNK = 50_000
_SHOWN = ('id', 'image_id')


def normalise_masks(path: str, annotations: Sequence[dict], sizes: dict[int, tuple[int, int]]) -> None:
    """Make each segmentation a list of polygons or RLE; one line for each kind of odd form that is taken.

    Args:
        annotations: those whose masks are needed, with checked boxes; their segmentations are replaced.
        sizes: {image id: (width, height)} in pixels.

    Raises:
        UserError: a segmentation that is none, is without area, or has no plain meaning; masks that lie elsewhere than
            the boxes.
    """
    extents = np.full((len(annotations), 4), np.nan)  # left, top, right, bottom of each mask
    odd = []
    for start in range(0, len(annotations), _CHUNK):
        odd += [start + i for i in _odd_ones(annotations[start : start + _CHUNK], sizes, extents[start:])]
    faults: dict[str, list[tuple[dict, str]]] = defaultdict(list)
    forms: dict[str, Tally] = defaultdict(Tally)
    for i in odd:
        annotation = annotations[i]
        width, height = sizes[annotation['image_id']]
        try:
            plain, kinds = plain_segmentation(annotation.get('segmentation'), width, height)
        except SegmentationFault as fault:
            faults[fault.kind].append((annotation, fault.detail))
            continue
        for kind in kinds:
            forms[kind].add(annotation, _SHOWN)
        annotation['segmentation'] = plain
        x, y, w, h = _extent(plain, width, height)
        extents[i] = x, y, x + w, y + h
    _refuse_faults(path, faults, len(annotations))
    for kind, (what, taken) in FORMS.items():
        note(path, forms[kind], len(annotations), f'annotations {what}', taken)
    compare_masks_with_boxes(path, annotations, extents)


def _odd_ones(annotations: Sequence[dict], sizes: dict[int, tuple[int, int]], extents: np.ndarray) -> list[int]:
    """Indices of the annotations that are no usual polygons; ``extents`` are filled in for the others.

    Usual polygons are flat lists of six or more plain numbers, have area, and reach at most a little beyond the image.
    """
    usual: list[int] = []
    odd: list[int] = []
    for i, annotation in enumerate(annotations):
        parts = annotation.get('segmentation')
        is_usual = (
            type(parts) is list and parts and all(type(p) is list and len(p) > 5 and not len(p) % 2 for p in parts)
        )
        (usual if is_usual else odd).append(i)
    plain = {int, float}
    if not types_of(_values(annotations[i] for i in usual)) <= plain:
        strange = {i for i in usual if not types_of(_values([annotations[i]])) <= plain}
        usual = [i for i in usual if i not in strange]
        odd = sorted({*odd, *strange})
    if not usual:
        return odd
    parts = [part for i in usual for part in annotations[i]['segmentation']]
    try:
        values = np.fromiter(chain.from_iterable(parts), float).reshape(-1, 2)
    except OverflowError:  # a whole number beyond any float
        return sorted({*odd, *usual})
    part_starts = np.cumsum([0, *(len(part) // 2 for part in parts[:-1])])
    low, high = np.minimum.reduceat(values, part_starts), np.maximum.reduceat(values, part_starts)
    counts = [len(annotations[i]['segmentation']) for i in usual]
    limits = np.array([sizes[annotations[i]['image_id']] for i in usual], float)
    of_parts = np.repeat(limits, counts, 0)
    fine = (low < high).all(1) & (high > 0).all(1) & (low < of_parts).all(1)  # False for NaN
    fine &= (low >= -of_parts).all(1) & (high <= 2 * of_parts).all(1)
    starts = np.cumsum([0, *counts[:-1]])
    fine = np.logical_and.reduceat(fine, starts)
    extents[usual] = np.hstack([np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)])
    return sorted({*odd, *(i for i, is_fine in zip(usual, fine) if not is_fine)})


def _values(annotations: Iterable[dict]) -> chain:
    return chain.from_iterable(chain.from_iterable(annotation['segmentation'] for annotation in annotations))


def _extent(plain: list | dict, width: int, height: int) -> np.ndarray:
    """Left, top, width and height of a plain segmentation."""
    if isinstance(plain, dict):
        return coco_mask.toBbox(as_rle(plain, width, height))
    points = np.array([value for part in plain for value in part], float).reshape(-1, 2)
    return np.r_[points.min(0), np.ptp(points, 0)]


def _refuse_faults(path: str, faults: dict[str, list[tuple[dict, str]]], total: int) -> None:
    for kind, (fault, advice) in FAULTS.items():
        entries = faults.get(kind, [])
        if kind == 'empty' and len(entries) <= TOLERATED_EMPTY * total:
            odd = Tally()
            for annotation, _ in entries:  # MMDetection passes over `ignore`, the AP libraries need a polygon
                odd.add(annotation, _SHOWN)
                x, y, w, h = annotation['bbox']
                annotation.update(ignore=1, segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]])
            note(path, odd, total, f'annotations {fault}', 'left out')
            continue
        wrong = [annotation for annotation, _ in entries]
        refuse(path, wrong, total, f'annotations {fault}', advice, _SHOWN, entries[0][1] if entries else '')


def mask_area(annotation: dict, width: int, height: int) -> float:
    """The area of an annotation's mask in pixels; 0 if it has none that has a plain meaning."""
    try:
        plain, _ = plain_segmentation(annotation.get('segmentation'), width, height)
    except SegmentationFault:
        return 0.0
    return float(coco_mask.area(as_rle(plain, width, height)))


def mask_box(annotation: dict, width: int, height: int) -> list[float] | None:
    """The box around an annotation's mask, ``[left, top, width, height]``; None if it has none of a plain meaning."""
    try:
        plain, _ = plain_segmentation(annotation.get('segmentation'), width, height)
    except SegmentationFault:
        return None
    left, top, box_width, box_height = _extent(plain, width, height)
    right, bottom = min(left + box_width, width), min(top + box_height, height)
    left, top = max(left, 0.0), max(top, 0.0)
    return [float(left), float(top), float(right - left), float(bottom - top)]
