"""A file in COCO's format with every value in the one form that data sets and AP libraries need.

Annotation tools write numbers as text, polygons flat or in pairs, ids from 0, and leave areas out. What has a plain
meaning is taken, with one line for each kind that says how often it occurs; the rest ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from .agreement import areas_do_not_fit
from .ids import normalise_annotation_ids, normalise_ids, normalise_names
from .masks import mask_area, mask_box, normalise_masks
from .values import Tally, as_number, as_whole, brief, note, refuse, types_of

#: Pixels of an image that pycocotools can count in a mask.
_MOST_PIXELS = 2**31
_BOX_FORMAT = 'bbox is [left, top, width, height] in pixels'
_FLAGS: dict[Any, int] = {0: 0, 1: 1, None: 0, '0': 0, '1': 1, 'false': 0, 'true': 1, '': 0}


def normalise(path: str, content: dict[str, Any]) -> None:
    """Bring ids, names, sizes, flags and boxes of a file into their plain form, in place; masks and areas excepted.

    After it: ids of images and categories are whole numbers, names of categories are text that differs, width and
    height are whole numbers above 0, ``iscrowd`` is 0 or 1, ``bbox`` is four numbers. Each step first tests all values
    at once, and touches only what differs.

    Args:
        path: the file's name for messages.
        content: with the lists 'images', 'categories' and 'annotations', whose entries have the required keys.

    Raises:
        UserError: a value that has no plain meaning; in one line, with the number of cases and an example.
    """
    _normalise_sizes(path, content['images'])
    normalise_ids(path, content, 'images', 'image_id')
    normalise_ids(path, content, 'categories', 'category_id')
    normalise_names(path, content)
    annotations = content['annotations']
    for key in ('iscrowd', 'ignore'):
        _normalise_flag(path, annotations, key)
    for annotation in annotations:
        annotation.setdefault('iscrowd', 0)
    _normalise_boxes(path, annotations, image_sizes(content))


def normalise_masks_and_areas(path: str, content: dict[str, Any], masked: Sequence[dict]) -> None:
    """Bring segmentations, areas and the annotations' ids into their plain form, in place.

    Areas that are missing, null or not above 0 are worked out from the mask, or from the box where there is none.

    Args:
        content: whose boxes were checked.
        masked: the annotations whose masks are needed.

    Raises:
        UserError: as :func:`normalise`.
    """
    sizes = image_sizes(content)
    normalise_masks(path, masked, sizes)
    _normalise_areas(path, content['annotations'], sizes)
    normalise_annotation_ids(path, content['annotations'])


def image_sizes(content: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """{image id: (width, height)}."""
    return {image['id']: (image['width'], image['height']) for image in content['images']}


def _normalise_sizes(path: str, images: list[dict]) -> None:
    changed = Tally()
    if not types_of(chain.from_iterable((image['width'], image['height']) for image in images)) <= {int}:
        for image in images:
            for key in ('width', 'height'):
                side = as_whole(image[key])
                if side is not None and type(image[key]) is not int:
                    changed.add(f'{key} {brief(image[key])}')
                    image[key] = side
    shown = ('id', 'file_name', 'width', 'height')
    wrong = [
        image
        for image in images
        if type(image['width']) is not int
        or type(image['height']) is not int
        or min(image['width'], image['height']) <= 0
        or image['width'] * image['height'] >= _MOST_PIXELS
    ]
    fault = 'images have no width and height that are whole numbers above 0'
    refuse(path, wrong, len(images), fault, 'give the size in pixels (of fewer than 2 ** 31 in all)', shown)
    what = 'widths and heights of images are text or have a decimal point'
    note(path, changed, 2 * len(images), what, 'taken as whole numbers')


def _normalise_flag(path: str, annotations: list[dict], key: str) -> None:
    """Make a flag 0 or 1 where it is given."""
    values = [annotation.get(key, 0) for annotation in annotations]
    if types_of(values) <= {int} and set(values) <= {0, 1}:
        return
    wrong, changed = [], Tally()
    for annotation, value in zip(annotations, values):
        if type(value) is int and value in (0, 1):
            continue
        plain: Any = value.strip().lower() if isinstance(value, str) else value
        plain = _FLAGS.get(plain if isinstance(plain, (str, int, float, type(None))) else 'none')
        if plain is None:
            wrong.append(annotation)
        else:
            changed.add(brief(value))
            annotation[key] = plain
    shown = ('id', 'image_id', key)
    refuse(path, wrong, len(annotations), f'annotations have an {key} that is neither 0 nor 1', 'set 0 or 1', shown)
    what = f'annotations have an {key} that is null, text, a boolean or a float'
    note(path, changed, len(annotations), what, 'taken as 0 or 1')


def _normalise_boxes(path: str, annotations: list[dict], sizes: dict[int, tuple[int, int]]) -> None:
    boxes: list[Any] = [annotation.get('bbox') for annotation in annotations]
    is_plain = _are_four_numbers(boxes)
    shown = ('id', 'image_id', 'bbox')
    wrong, texts, of_masks = [], Tally(), Tally()
    for annotation, box in zip(annotations, boxes):
        if is_plain and any(box):
            continue
        if box is None or box == [] or isinstance(box, list) and box == [0, 0, 0, 0]:
            if (around := mask_box(annotation, *sizes[annotation['image_id']])) is not None:
                of_masks.add(annotation, shown)
                annotation['bbox'] = around
                continue
        if not isinstance(box, list) or len(box) != 4 or types_of(box) & {bool, list, dict, type(None)}:
            wrong.append(annotation)
            continue
        if _are_four_numbers([box]):
            continue
        numbers: list[Any] = [as_number(value) for value in box]
        if None in numbers:
            wrong.append(annotation)
        else:
            texts.add(annotation, shown)
            annotation['bbox'] = [float(number) for number in numbers]
    total = len(annotations)
    wrong_without = [annotation for annotation in wrong if annotation.get('bbox') in (None, [])]
    if len(wrong_without) == len(wrong):
        advice = f'{_BOX_FORMAT}; it is worked out where there is a mask'
        refuse(path, wrong, total, 'annotations have no bbox and no mask to take it from', advice, shown)
    refuse(path, wrong, total, 'annotations have a bbox that is not four numbers', _BOX_FORMAT, shown)
    note(path, texts, total, 'annotations have a bbox with text', 'taken as numbers')
    note(path, of_masks, total, 'annotations have no bbox', 'the box around the mask is taken')


def _are_four_numbers(boxes: list) -> bool:
    """Whether all boxes are four plain numbers."""
    if not all(type(box) is list and len(box) == 4 for box in boxes):
        return False
    if not types_of(chain.from_iterable(boxes)) <= {int, float}:
        return False
    try:
        np.array(boxes, float)
    except OverflowError:  # a whole number beyond any float
        return False
    return True


def _normalise_areas(path: str, annotations: list[dict], sizes: dict[int, tuple[int, int]]) -> None:
    areas = [annotation.get('area') for annotation in annotations]
    unfit: set[int] = set()
    doubtful: Sequence[int]
    if types_of(areas) <= {int, float}:
        try:
            values = np.fromiter(areas, float, len(areas))
            boxes = np.array([annotation['bbox'] for annotation in annotations], float).reshape(-1, 4)
            unfit = {*np.flatnonzero(areas_do_not_fit(values, boxes)).tolist()}
            doubtful = sorted({*np.flatnonzero(~(np.isfinite(values) & (values > 0))).tolist(), *unfit})
        except OverflowError:
            doubtful = range(len(areas))
    else:
        doubtful = range(len(areas))
    shown = ('id', 'image_id', 'area')
    texts, of_masks, of_boxes, misfits = Tally(), Tally(), Tally(), Tally()
    for i in doubtful:
        annotation, given = annotations[i], areas[i]
        area = as_number(given)
        if area is not None and area > 0 and i not in unfit:
            if isinstance(given, str):
                texts.add(annotation, shown)
                annotation['area'] = area
            continue
        area = mask_area(annotation, *sizes[annotation['image_id']])
        tally = misfits if i in unfit else of_masks if area > 0 else of_boxes
        if area > 0:
            tally.add(annotation, (*shown, 'bbox') if i in unfit else shown)
        else:
            area = float(annotation['bbox'][2] * annotation['bbox'][3])
            if area > 0:  # a box without area is left out, and was reported
                tally.add(annotation, (*shown, 'bbox') if i in unfit else shown)
        annotation['area'] = area
    total = len(annotations)
    note(path, texts, total, 'annotations have an area as text', 'taken as numbers')
    note(path, of_masks, total, 'annotations have no area above 0', 'worked out from the mask')
    note(path, of_boxes, total, 'annotations have no area above 0', 'worked out from the box')
    what = 'annotations have an area in square pixels that cannot be that of their box'
    note(path, misfits, total, what, 'worked out from the mask or the box')
