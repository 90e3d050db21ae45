"""A file in COCO's format, read and checked.

Its mistakes would otherwise surface as fewer labels, in silence, or as an error hours later.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from ..errors import UserError

#: How far a box may reach beyond its image: boxes drawn by hand and rounded do (COCO's by less than a pixel).
TOLERATED_PIXELS = 2.0
#: Share of boxes without area or outside of their image that is no mistake of the file's: COCO 2017's training set has
#: two boxes of no height among 860 001. MMDetection leaves such boxes out.
TOLERATED_SHARE = 1e-4
_KEYS = dict(
    images=('id', 'file_name', 'width', 'height'),
    categories=('id', 'name'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area'),
)


class CocoFile(COCO):
    """MMDetection's ``COCO``, except that the categories of given names come in the order of these names.

    MMDetection's come in the file's order, so that a label would mean another class wherever a config or a second file
    has another order.
    """

    def __init__(self, content: dict) -> None:
        super().__init__()
        self.dataset = content
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(
        self, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (), cat_ids: Sequence[int] = ()
    ) -> list[int]:
        """Ids of the categories of these names, in their order; all that fit ``sup_names`` and ``cat_ids`` without
        names."""
        found = super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))
        return sorted(found, key=lambda id_: list(cat_names).index(self.cats[id_]['name'])) if cat_names else found


def read_coco(
    path: str,
    classes: Sequence[str] | None = None,
    annotated: bool = True,
    masks: bool = False,
    backend_args: dict | None = None,
) -> CocoFile:
    """Read a file in COCO's format and check all of it; beyond parsing, 100 000 boxes take .4 s.

    Annotations without ``iscrowd`` are taken for no crowd.

    Args:
        path: the JSON file.
        classes: names that must be among the file's categories; None for no particular ones.
        annotated: whether there must be annotations; those of COCO's test sets are not public.
        masks: whether each annotation of ``classes`` must have a segmentation.
        backend_args: of MMEngine's file reader, for files that do not lie on a disk.

    Raises:
        UserError: the first kind of mistake that is found, in one line: the file, how many, an example, what would be
            right.
    """
    with get_local_path(path, backend_args=backend_args) as local:
        content = _read_json(path, local)
    _check_layout(path, content, annotated)
    _check_unique(path, content)
    _check_classes(path, content['categories'], classes)
    if content.get('annotations'):
        _check_references(path, content)
        _check_boxes(path, content)
        if masks:
            _check_masks(path, content, classes)
    return CocoFile(content)


def _read_json(path: str, local: str) -> dict:
    try:
        with open(local, 'rb') as file:
            content = json.load(file)
    except OSError as error:
        raise UserError(
            f'{path} cannot be read: {error.strerror}: set the annotation file, e.g. by --cfg-options data_root=...'
        ) from None
    except ValueError as error:  # no JSON, or no text
        raise UserError(f'{path} is no JSON file: {error}: is it cut short?') from None
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not in COCO's format: a dictionary of images, annotations and categories; found a "
            f'{type(content).__name__}'
        )
    return content


def _check_layout(path: str, content: dict, annotated: bool) -> None:
    for part, keys in _KEYS.items():
        optional = part == 'annotations' and not annotated
        entries = content.get(part, [] if optional else None)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(
                f"{path} is not in COCO's format: it has no list of dictionaries '{part}' "
                f'(it has {", ".join(content) or "nothing"})'
            )
        if not entries and not optional:
            raise UserError(f"{path}: the list '{part}' is empty")
        for key in keys:
            _refuse(
                path,
                (entry for entry in entries if key not in entry),
                len(entries),
                part,
                f"have no '{key}'",
                'give each the area of its mask, or of its box, in pixels'
                if key == 'area'
                else "COCO's format asks for it",
            )
    wrong = [
        image
        for image in content['images']
        if not all(isinstance(image[side], (int, float)) and image[side] > 0 for side in ('width', 'height'))
    ]
    _refuse(
        path, wrong, len(content['images']), 'images', 'have no width and height above 0', 'give the size in pixels'
    )
    for annotation in content.get('annotations', ()):
        annotation.setdefault('iscrowd', 0)


def _check_unique(path: str, content: dict) -> None:
    for part, key in (('images', 'id'), ('categories', 'id'), ('categories', 'name'), ('annotations', 'id')):
        entries = content.get(part, ())
        values = [entry[key] for entry in entries]
        if len(set(values)) < len(values):
            value, count = Counter(values).most_common(1)[0]
            raise UserError(
                f"{path}: {len(values) - len(set(values))} of {len(values)} {part} have the '{key}' of another, "
                f'e.g. {value!r} occurs {count} times: each needs its own'
            )


def _check_classes(path: str, categories: list[dict], classes: Sequence[str] | None) -> None:
    names = [category['name'] for category in categories]
    missing = [name for name in classes or () if name not in names]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of the config's {len(classes)} classes are not among its categories, e.g. "
            f"'{missing[0]}'; "
            f'the file has {_some(names)}: name those to learn, e.g. --cfg-options classes="{tuple(names[:2])}"'
        )


def _check_references(path: str, content: dict) -> None:
    annotations, count = content['annotations'], len(content['annotations'])
    known = {category['id'] for category in content['categories']}
    unknown = [annotation for annotation in annotations if annotation['category_id'] not in known]
    _refuse(
        path,
        unknown,
        count,
        'annotations',
        "have a category_id that 'categories' does not list",
        f'it lists {_some(sorted(known))}',
        'category_id',
    )
    known = {image['id'] for image in content['images']}
    unknown = [annotation for annotation in annotations if annotation['image_id'] not in known]
    _refuse(
        path,
        unknown,
        count,
        'annotations',
        "are of an image that 'images' does not list",
        'list it, or leave them out',
        'image_id',
    )


def _check_boxes(path: str, content: dict) -> None:
    annotations, form = content['annotations'], 'bbox is [left, top, width, height] in pixels'
    try:
        boxes = np.array([annotation['bbox'] for annotation in annotations])
    except ValueError:  # of different lengths
        boxes = np.empty(0)
    if boxes.shape != (len(annotations), 4) or boxes.dtype.kind not in 'iuf':
        wrong = [
            entry
            for entry in annotations
            if not isinstance(entry['bbox'], (list, tuple))
            or len(entry['bbox']) != 4
            or not all(isinstance(value, (int, float)) for value in entry['bbox'])
        ]
        _refuse(path, wrong, len(annotations), 'annotations', 'have a bbox that is not four numbers', form, 'bbox')
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    limits = np.array([sizes[annotation['image_id']] for annotation in annotations], dtype=float)

    def tell(which: np.ndarray, what: str, right: str, tolerated: float) -> None:
        """Refuse the annotations where ``which`` is true, or warn of them where they are no more than a share
        ``tolerated``."""
        found = np.flatnonzero(which)
        if not len(found):
            return
        first = annotations[found[0]]
        width, height = sizes[first['image_id']]
        where = f'bbox {first["bbox"]}, image {width} x {height}'
        if len(found) > tolerated * len(annotations):
            _refuse(
                path,
                [annotations[i] for i in found],
                len(annotations),
                'annotations',
                what,
                right,
                detail=where,
                content=content,
            )
        print_log(
            f'{path}: {len(found)} of {len(annotations)} annotations {what} and are left out, e.g. id {first["id"]} '
            f'({where})',
            logger='current',
            level=logging.WARNING,
        )

    negative = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] < 0).any(1)
    tell(negative, 'have a box of negative width or height, or one that is not finite', f'{form}, not its corners', 0.0)
    tell((boxes[:, 2:] == 0).any(1), 'have a box without area', form, TOLERATED_SHARE)
    beyond = (boxes[:, :2] < -TOLERATED_PIXELS) | (boxes[:, :2] + boxes[:, 2:] > limits + TOLERATED_PIXELS)
    tell(
        beyond.any(1),
        'have a box outside of the image',
        f'{form}, not its corners or parts of the image',
        TOLERATED_SHARE,
    )


def _check_masks(path: str, content: dict, classes: Sequence[str] | None) -> None:
    wanted = {category['id'] for category in content['categories'] if classes is None or category['name'] in classes}
    chosen = [annotation for annotation in content['annotations'] if annotation['category_id'] in wanted]
    _refuse(
        path,
        (annotation for annotation in chosen if not annotation.get('segmentation')),
        len(chosen),
        'annotations',
        'have no segmentation, which learning or judging masks needs',
        'give polygons or RLE, or choose a config without masks',
    )


def _refuse(
    path: str,
    entries: Iterable[dict],
    of: int,
    part: str,
    what: str,
    right: str,
    key: str | None = None,
    detail: str | None = None,
    content: dict | None = None,
) -> None:
    """Raise the line for the entries that are wrong, if there are any."""
    entries = list(entries)
    if not entries:
        return
    first = entries[0]
    named = [f'{name} {first[name]!r}' for name in ('id', 'image_id', 'file_name') if name in first and name != key]
    if content is not None:
        named += [next(f"'{image['file_name']}'" for image in content['images'] if image['id'] == first['image_id'])]
    if key is not None:
        named.append(f'{key} {first[key]!r}')
    named += [detail] if detail else []
    raise UserError(f'{path}: {len(entries)} of {of} {part} {what}, e.g. {", ".join(named) or first}: {right}')


def _some(values: Sequence, most: int = 5) -> str:
    shown = ', '.join(map(str, values[:most]))
    return shown if len(values) <= most else f'{shown}, ... ({len(values)})'
