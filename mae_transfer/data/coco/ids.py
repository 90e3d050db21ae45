"""Ids and names in a file in COCO's format: every form that has a plain meaning becomes the one that libraries need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ...errors import shorten
from ..label_maps.class_names import plain_name
from .values import IN_FILE, Tally, as_whole, brief, check_unique, note, refuse, types_of

#: The AP libraries hold ids in 64 bits.
_MOST = 2**63


def normalise_ids(path: str, content: dict[str, list[dict]], part: str, reference: str) -> None:
    """Make the ids of images or categories whole numbers, in the annotations too.

    Whole numbers as text or with a decimal point are taken as numbers. If others are among them, all entries are
    numbered from 1 in the file's order. What is changed stays under
    its key with ``IN_FILE``.

    Args:
        part: 'images' or 'categories'.
        reference: the annotations' key that refers to them.

    Raises:
        UserError: an id that is neither a whole number nor text, or that occurs twice; an annotation whose reference is
            not listed.
    """
    entries, annotations = content[part], content['annotations']
    ids, references = [entry['id'] for entry in entries], [annotation[reference] for annotation in annotations]
    is_plain = types_of(ids) | types_of(references) <= {int} and all(-_MOST <= id_ < _MOST for id_ in ids)
    if is_plain:
        check_unique(path, part, 'id', ids)
        _check_references(path, content, part, reference, references, set(ids))
        return
    wrong = [entry for entry in entries if _key(entry['id']) is None]
    refuse(
        path, wrong, len(entries), f'{part} have an id that is neither a whole number nor text', 'number them from 1'
    )
    whole: list[Any] = [as_whole(id_) for id_ in ids]
    texts = [_key(id_) for id_ in ids]
    is_numbered = None in whole or len(set(whole)) < len(set(texts)) or not all(-_MOST <= id_ < _MOST for id_ in whole)
    key_of = _key if is_numbered else as_whole
    keys = texts if is_numbered else whole
    check_unique(path, part, 'id', keys)
    new = {key: i + 1 if is_numbered else key for i, key in enumerate(keys)}
    _check_references(path, content, part, reference, [key_of(value) for value in references], set(new))
    changed = Tally()
    for holder, key, values in ((entries, 'id', ids), (annotations, reference, references)):
        for entry, value in zip(holder, values):
            entry[key] = new[key_of(value)]
            if type(value) is not int or value != entry[key]:
                changed.add(brief(value))
                entry[key + IN_FILE] = value
    what = f"ids of {part} ('id', '{reference}') are " + (
        'no whole numbers' if is_numbered else 'no plain whole numbers'
    )
    taken = f'the {part} are numbered from 1' if is_numbered else 'taken as whole numbers'
    note(path, changed, len(ids) + len(references), what, taken)


def _key(id_: Any) -> str | None:
    """The text by which an id is recognised; None for what is no id."""
    if isinstance(id_, str):
        return id_.strip() or None
    whole = as_whole(id_)
    return None if whole is None else str(whole)


def _check_references(
    path: str, content: dict[str, list[dict]], part: str, reference: str, keys: Sequence[Any], known: set
) -> None:
    if known.issuperset(keys):
        return
    annotations = content['annotations']
    wrong = [annotation for annotation, key in zip(annotations, keys) if key not in known]
    if part == 'categories':
        listed = [entry['id'] for entry in content[part]]
        listed = sorted(listed) if types_of(listed) <= {int} else listed
        fault, advice = "annotations have a category_id that 'categories' does not list", shorten(map(brief, listed))
        refuse(path, wrong, len(annotations), fault, f'it lists {advice}', ('id', 'image_id', reference))
    refuse(
        path,
        wrong,
        len(annotations),
        "annotations belong to an image that 'images' does not list",
        'list the image, or remove them',
    )


def normalise_annotation_ids(path: str, annotations: list[dict]) -> None:
    """Number the annotations from 1 if one of them has no id that the AP libraries can use.

    They take 0 for "no match", and disagree about negative numbers.

    Raises:
        UserError: an id occurs twice.
    """
    ids: list[Any] = [annotation.get('id') for annotation in annotations]
    if types_of(ids) <= {int} and 0 < min(ids, default=1) and max(ids, default=1) < _MOST:
        check_unique(path, 'annotations', 'id', ids)
        return
    keys = [_key(id_) for id_ in ids]
    check_unique(path, 'annotations', 'id', [key for key in keys if key is not None])
    wrong = Tally()
    for id_ in ids:
        if type(id_) is not int or not 0 < id_ < _MOST:
            wrong.add(brief(id_))
    for number, annotation in enumerate(annotations, 1):
        if 'id' in annotation:
            annotation['id' + IN_FILE] = annotation['id']
        annotation['id'] = number
    what = 'annotations have no id that is a whole number above 0 (the AP libraries take 0 for no match)'
    note(path, wrong, len(annotations), what, 'all are numbered from 1')


def normalise_names(path: str, content: dict[str, list[dict]]) -> None:
    """Make the categories' names plain text, as ``plain_name`` does, and drop unused namesakes.

    A namesake is dropped if no annotation refers to it but one to the other. Roboflow's exports have such a category:
    the root, with the project's name. If both are unused, the one whose supercategory is not 'none' stays.

    Raises:
        UserError: a name that is neither text nor a number; two categories of one name that are both used.
    """
    categories = content['categories']
    if not types_of(category['name'] for category in categories) <= {str, int, float}:
        wrong = [category for category in categories if type(category['name']) not in (str, int, float)]
        refuse(path, wrong, len(categories), 'categories have a name that is no text', 'name them', ('id', 'name'))
    changed = Tally()
    for category in categories:
        name = plain_name(str(category['name']))
        if name != category['name']:
            changed.add(brief(category['name']))
            category['name'] = name
    refuse(
        path,
        [category for category in categories if not category['name']],
        len(categories),
        'categories have an empty name',
        'name them',
        ('id',),
    )
    what = 'categories have a name that is a number, has spaces around it or two in a row, or accents on their own'
    note(path, changed, len(categories), what, 'taken as plain text')
    content['categories'] = _without_namesakes(path, content)
    check_unique(path, 'categories', 'name', [category['name'] for category in content['categories']])


def _without_namesakes(path: str, content: dict[str, list[dict]]) -> list[dict]:
    categories = content['categories']
    of_name = defaultdict(list)
    for category in categories:
        of_name[category['name']].append(category)
    if len(of_name) == len(categories):
        return categories
    used = {annotation['category_id'] for annotation in content['annotations']}
    dropped, odd = [], Tally()
    for namesakes in of_name.values():
        wanted = [category for category in namesakes if category['id'] in used]
        leaves = [c for c in namesakes if c.get('supercategory') not in (None, '', 'none')]
        kept = wanted or leaves[:1] or namesakes[:1]
        dropped += [category for category in namesakes if category not in kept]
    for category in dropped:
        odd.add(category, ('id', 'name'))
    note(path, odd, len(categories), 'categories have the name of another and no annotation', 'left out')
    return [category for category in categories if category not in dropped]
