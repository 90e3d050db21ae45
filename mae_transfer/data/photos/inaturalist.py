"""iNaturalist's JSON: images, annotations and categories."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...paths import shown
from ..files.spellings import existing_names
from .classes import given_or_own
from .labelled_lists import PREFIX_ADVICE, check_annotations
from .source import Source

_Id = int | str
_WHOLE_TEXT = re.compile(r'-?(0|[1-9]\d*)')


def read_inaturalist(file: Path, root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read iNaturalist's JSON of 2017, 2018 and 2019: images, one annotation for each, and usually categories.

    A label is the position of the category's id among the sorted ids, which are 0..n-1 in the published files. Classes
    have the categories' names if these are distinct, otherwise the ids.

    Raises:
        UserError: no file, no JSON, a missing key, an image without an annotation or with two, an annotation of an
            unknown image or category, an id that is no whole number and no text; without categories, ids
            other than 0..n-1.
    """
    check_annotations(file)
    try:
        data = json.loads(file.read_bytes())  # in any of JSON's encodings, with or without a byte-order mark
    except (ValueError, RecursionError) as error:
        raise UserError(f'{shown(file)} is not a JSON file: {error}') from error
    try:
        images, pairs, name_of, told = _entries(file, data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        fault = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise UserError(
            f'{shown(file)} is not in the layout of iNaturalist 2017 to 2019 (images: id, file_name; annotations: '
            f'image_id, category_id; categories: id, name): {fault}: correct it, or write a list file'
        ) from error
    annotations = Counter(image for image, _ in pairs)
    several = next((image for image, times in annotations.items() if times > 1 or image not in images), None)
    if not pairs or several is not None or len(annotations) != len(images):
        example = (
            several if several is not None else next((image for image in images if image not in annotations), None)
        )
        raise UserError(
            f'{shown(file)}: {len(pairs)} annotations for {len(images)} images; expected one for each image'
            + (f', but {annotations[example]} are for image {example}' if example is not None else '')
            + (', which is not among the images' if example is not None and example not in images else '')
        )
    if not name_of and any(isinstance(category, str) for _, category in pairs):
        name_of = {category: str(category) for _, category in pairs}
    if not name_of:
        count = len(classes) if classes else max(int(category) for _, category in pairs) + 1
        if classes is None and {category for _, category in pairs} != set(range(min(count, len(pairs)))):
            raise UserError(
                f'{shown(file)} has no categories, and its category_ids are not all of 0 to {count - 1}: give the '
                'number of classes by classes=...'
            )
        name_of = {category: '' for category in range(count)}
    label_of = {category: label for label, category in enumerate(sorted(name_of))}
    unknown = [category for _, category in pairs if category not in label_of]
    if unknown:
        raise UserError(f'{shown(file)}: category_id {unknown[0]} is none of the {len(name_of)} categories')
    distinct = '' not in name_of.values() and len(set(name_of.values())) == len(name_of)
    own_names = [name_of[category] if distinct else str(category) for category in label_of]
    if distinct and classes and set(own_names) <= set(classes):  # as many, in another order, or some of them
        class_names = classes
        label_of = {category: classes.index(name) for category, name in zip(label_of, own_names)}
    else:
        class_names = given_or_own(classes, own_names, file)
    labels = np.array([label_of[category] for _, category in pairs], np.int64)
    names, notes, missing = existing_names([images[image] for image, _ in pairs], root, file, PREFIX_ADVICE)
    present = tuple(range(len(class_names)))
    return Source(root, names, labels, class_names, present, notes=(*told, *notes), missing=missing)


def _entries(file: Path, data: Any) -> tuple[dict[_Id, str], list[tuple[_Id, _Id]], dict[_Id, str], tuple[str, ...]]:
    """The file names by image, pairs of image and category, the names by category, notes.

    Raises:
        UserError: an id that is neither a whole number nor text; two images or categories of one id.
        KeyError, TypeError: something is missing, or of another form.
    """
    given = [
        *(entry['id'] for key in ('images', 'categories') for entry in data.get(key, ())),
        *(entry[key] for entry in data['annotations'] for key in ('image_id', 'category_id')),
    ]
    wrong = [
        key for key in given if isinstance(key, bool) or not isinstance(key, (int, str)) and not _is_whole_float(key)
    ]
    if wrong:
        raise UserError(f'{shown(file)}: {len(wrong)} ids are neither whole numbers nor text, e.g. {wrong[0]!r}')
    images, name_of = dict[_Id, str](), dict[_Id, str]()
    for key, names, field in (('images', images, 'file_name'), ('categories', name_of, 'name')):
        for entry in data['images'] if key == 'images' else data.get(key, ()):
            number = _plain(entry['id'])
            if number in names:
                raise UserError(f'{shown(file)}: two {key} have the id {number!r}: each needs its own')
            value = entry[field] if key == 'images' else entry.get(field, '')
            names[number] = os.fsdecode(os.fsencode(value)) if key == 'images' else str(value)
    pairs = [(_plain(entry['image_id']), _plain(entry['category_id'])) for entry in data['annotations']]
    if len({type(number) for number in (*name_of, *(category for _, category in pairs))}) > 1:
        raise UserError(f'{shown(file)}: some ids of categories are numbers, others text: make all one')
    odd = [key for key in given if type(_plain(key)) is not type(key)]
    if not odd:
        return images, pairs, name_of, ()
    note = f'{shown(file)}: {len(odd)} ids are no plain whole numbers, e.g. {odd[0]!r}: taken as whole numbers'
    return images, pairs, name_of, (note,)


def _is_whole_float(number: Any) -> bool:
    return isinstance(number, float) and number.is_integer()


def _plain(number: Any) -> _Id:
    """An id as a number, if it is a whole one, also as text; otherwise the text."""
    if isinstance(number, str):
        return int(number) if _WHOLE_TEXT.fullmatch(number) else number
    return int(number)
