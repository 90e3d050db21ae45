"""Do the boxes, masks, areas and images of a file in COCO's format agree? What one of them alone cannot show.

Boxes as corners that all lie within their images, masks whose runs go along the rows, areas as shares: each value is
possible by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from posixpath import normpath
from typing import Any

import numpy as np

from .values import Tally, brief, describe, note, refuse

#: Share of annotations whose mask may lie elsewhere than its box.
TOLERATED_ELSEWHERE = 0.1
_BOX_FORMAT = 'bbox is [left, top, width, height] in pixels'
#: How far the sides of a box and of its mask may differ for the one to fit the other, in pixels.
_FITTING = 2.0
_SHOWN = ('id', 'image_id')


def compare_masks_with_boxes(path: str, annotations: Sequence[dict], extents: np.ndarray) -> None:
    """Refuse masks that do not belong to their boxes if they are many, otherwise log a warning.

    Elsewhere: the intersection of the mask's extent with the box is less than a tenth of their union. Masks in shares
    of the image or of [y, x] points are found by this; masks whose runs go along the rows by an intersection of less
    than half for most objects.

    Args:
        annotations: with checked boxes.
        extents: (N, 4) left, top, right and bottom of each mask; NaN for none.

    Raises:
        UserError: most boxes have another format, which fits the masks; most masks do not fit; too many lie elsewhere.
    """
    if not len(annotations):
        return
    boxes = np.array([annotation['bbox'] for annotation in annotations], float)
    _refuse_other_formats(path, annotations, boxes, extents)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    inner = np.prod(np.clip(np.minimum(high, extents[:, 2:]) - np.maximum(low, extents[:, :2]), 0, None), axis=1)
    union = np.prod(boxes[:, 2:], axis=1) + np.prod(extents[:, 2:] - extents[:, :2], axis=1) - inner
    elsewhere = np.flatnonzero(inner < 0.1 * union)  # False for NaN: a mask without an extent
    unfit = np.flatnonzero(inner < 0.5 * union)
    if len(elsewhere) > TOLERATED_ELSEWHERE * len(annotations):
        _refuse_masks(path, annotations, extents, elsewhere, 'lies elsewhere than the box')
    if len(unfit) > len(annotations) / 2:
        _refuse_masks(path, annotations, extents, unfit, 'does not fit the box')
    odd = Tally()
    for i in elsewhere:
        odd.add(describe(annotations[i], _SHOWN) + _mask_and_box(annotations[i], extents[i]))
    note(path, odd, len(annotations), 'annotations have a mask that lies elsewhere than the box', 'used as they are')


def _refuse_masks(path: str, annotations: Sequence[dict], extents: np.ndarray, which: np.ndarray, fault: str) -> None:
    wrong, first = [annotations[i] for i in which], int(which[0])
    advice = 'polygons are [[x, y, x, y, ...], ...] in pixels, as the box: not shares of the image, not [y, x]'
    if isinstance(wrong[0]['segmentation'], dict):
        advice = "RLE's counts run down the columns, and begin with the pixels outside of the object"
    detail = _mask_and_box(wrong[0], extents[first])
    refuse(path, wrong, len(annotations), f'annotations have a mask that {fault}', advice, _SHOWN, detail)


def _mask_and_box(annotation: dict, extent: np.ndarray) -> str:
    left, top, right, bottom = extent
    return f', mask x {left:g} to {right:g}, y {top:g} to {bottom:g}, bbox {annotation["bbox"]}'


def _refuse_other_formats(path: str, annotations: Sequence[dict], boxes: np.ndarray, extents: np.ndarray) -> None:
    """Refuse boxes that fit their masks if they are read in another way, but not as they should be."""
    a, b, c, d = boxes.T
    formats = {
        '[left, top, right, bottom]': (a, b, c, d),
        '[centre x, centre y, width, height]': (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
        '[top, left, bottom, right]': (b, a, d, c),
        '[top, left, height, width]': (b, a, b + d, a + c),
    }
    is_right = _fits(np.stack([a, b, a + c, b + d], 1), extents)
    for name, sides in formats.items():
        fitting = np.flatnonzero(_fits(np.stack(sides, 1), extents) & ~is_right)
        if len(fitting) > len(annotations) / 2:
            wrong = [annotations[i] for i in fitting]
            detail = _mask_and_box(wrong[0], extents[fitting[0]])
            fault = f'annotations have a bbox that fits its mask as {name}'
            refuse(path, wrong, len(annotations), fault, _BOX_FORMAT, _SHOWN, detail)


def _fits(sides: np.ndarray, extents: np.ndarray) -> np.ndarray:
    return (np.abs(sides - extents) <= _FITTING).all(1)  # False for NaN


def check_areas_of_corners(path: str, annotations: Sequence[dict]) -> None:
    """Refuse boxes whose areas are those of boxes that are given by their corners.

    Args:
        annotations: with checked boxes.

    Raises:
        UserError: most of the areas are.
    """
    known: list[tuple[dict, Any]] = [(entry, entry.get('area')) for entry in annotations]
    known = [(entry, area) for entry, area in known if type(area) in (int, float) and 0 < area < 1e15]
    if len(known) <= len(annotations) / 2:
        return
    boxes = np.array([entry['bbox'] for entry, _ in known], float)
    areas = np.array([float(area) for _, area in known])
    as_corners = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(1)
    is_right = np.isclose(areas, boxes[:, 2:].prod(1), rtol=0.01, atol=0.5)
    of_corners = np.isclose(areas, as_corners, rtol=0.01, atol=0.5) & (as_corners > 1) & ~is_right
    wrong = [known[i][0] for i in np.flatnonzero(of_corners)]
    if len(wrong) > len(annotations) / 2:
        fault = 'annotations have a bbox that fits its area as [left, top, right, bottom]'
        refuse(path, wrong, len(annotations), fault, _BOX_FORMAT, (*_SHOWN, 'bbox', 'area'))


def areas_do_not_fit(areas: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which areas cannot be those of objects in their boxes: clearly larger, or of less than a pixel in larger boxes.

    Args:
        areas: (N,) in square pixels, as they are given; those that are not above 0 are not judged.
        boxes: (N, 4) left, top, width, height.

    Returns:
        (N,) bool; all False unless it is most of them: an odd area among many is left as it is.
    """
    of_boxes = boxes[:, 2:].prod(1)
    unfit = (areas > 1.5 * of_boxes + 4) | (areas > 0) & (areas <= 1) & (of_boxes > 16)
    return unfit if unfit.sum() > len(areas) / 2 else np.zeros(len(areas), bool)


def check_repetitions(path: str, content: dict[str, Any]) -> None:
    """Look for images and annotations that the file has more than once.

    Args:
        content: with checked boxes.

    Raises:
        UserError: one image file has several entries with different annotations; the objects of the one would be
            background in the other.
    """
    annotations = content['annotations']
    of_image = defaultdict(set)
    seen: dict[tuple, dict] = {}
    copies = Tally()
    for entry in annotations:
        box = (entry['category_id'], *entry['bbox'])
        of_image[entry['image_id']].add(box)
        first = seen.setdefault((entry['image_id'], *box), entry)
        if first is not entry and first.get('segmentation') == entry.get('segmentation'):
            copies.add(entry, (*_SHOWN, 'bbox'))
    images = content['images']
    entries = defaultdict(list)
    for image in images:
        entries[normpath(image['file_name'].replace('\\', '/'))].append(image)
    repeated = [of_file for of_file in entries.values() if len(of_file) > 1]
    differing = [file for file in repeated if len({frozenset(of_image[image['id']]) for image in file}) > 1]
    advice = (
        'list each image once, with all its objects, as those of the one entry are background in the other; where two '
        'folders have a file of this name, write the folder, too'
    )
    fault = 'images have the file_name of another, but other objects'
    refuse(path, [image for file in differing for image in file[1:]], len(images), fault, advice, ('id', 'file_name'))
    odd = Tally()
    for image in (image for file in repeated for image in file[1:]):
        odd.add(brief(image['file_name']))
    note(path, odd, len(images), 'images have the file_name and the objects of another', 'each is used')
    what = 'annotations repeat another (image, class, box and mask)'
    taken = 'each counts as an object, though a prediction can only match one: remove them'
    note(path, copies, len(annotations), what, taken)
