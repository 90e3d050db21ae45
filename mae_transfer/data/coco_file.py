"""Read and check an annotation file in COCO's format.

Without the checks, a mistake in the file would silently cost labels, or raise an error only hours later.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from ..errors import UserError, shorten

#: How far a box may extend beyond its image: boxes drawn by hand and rounded do (COCO's by less than a pixel).
TOLERATED_PIXELS = 2.0
#: Share of annotations that may have a box without area or outside of the image: COCO 2017's training set has two boxes
#: of zero height among 860 001. MMDetection leaves such boxes out.
TOLERATED_SHARE = 1e-4
_REQUIRED_KEYS = dict(
    images=('id', 'file_name', 'width', 'height'),
    categories=('id', 'name'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area'),
)
_BOX_FORMAT = 'bbox is [left, top, width, height] in pixels'


class CocoFile(COCO):
    """MMDetection's ``COCO``, except that categories looked up by name are returned in the order of the names.

    MMDetection returns them in the file's order. A label would then mean another class wherever the config, or a second
    file, has another order.
    """

    def __init__(self, content: dict) -> None:
        super().__init__()
        self.dataset = content
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(
        self, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (), cat_ids: Sequence[int] = ()
    ) -> list[int]:
        """Ids of the categories that match all filters, in the order of ``cat_names``; an empty filter matches all."""
        found = super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))
        return sorted(found, key=lambda id_: list(cat_names).index(self.cats[id_]['name'])) if cat_names else found


def read_coco(
    path: str,
    classes: Sequence[str] | None = None,
    annotated: bool = True,
    masks: bool = False,
    backend_args: dict | None = None,
) -> CocoFile:
    """Read a file in COCO's format and check all of it; the checks take .4 s for 100 000 boxes.

    Annotations without ``iscrowd`` get ``iscrowd=0``.

    Args:
        path: the JSON file.
        classes: names that must be among the file's categories; None for no requirement.
        annotated: whether there must be annotations; those of COCO's test sets are not public.
        masks: whether each annotation of ``classes`` must have a segmentation.
        backend_args: of MMEngine's file reader, for files that are not on a local disk.

    Raises:
        UserError: the first kind of mistake that is found, in one line: the file, the number of cases, an example, and
            what would be right.
    """
    with get_local_path(path, backend_args=backend_args) as local:
        content = _read_json(path, local)
    _check_layout(path, content, annotated)
    _check_unique(path, content)
    if classes is not None:
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
    except ValueError as error:  # neither JSON nor text
        raise UserError(f'{path} is not a JSON file: {error}: is it truncated?') from None
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not in COCO's format: expected a dictionary of images, annotations and categories; found a "
            f'{type(content).__name__}'
        )
    return content


def _check_layout(path: str, content: dict, annotated: bool) -> None:
    for part, keys in _REQUIRED_KEYS.items():
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
            incomplete = [entry for entry in entries if key not in entry]
            advice = "COCO's format requires it"
            if key == 'area':
                advice = 'give each annotation the area of its mask, or of its box, in pixels'
            _refuse(path, incomplete, len(entries), f"{part} have no '{key}'", advice)
    images = content['images']
    sizeless = [image for image in images if not _is_positive(image['width']) or not _is_positive(image['height'])]
    _refuse(path, sizeless, len(images), 'images have no width and height above 0', 'give the size in pixels')
    for annotation in content.get('annotations', ()):
        annotation.setdefault('iscrowd', 0)


def _is_positive(side: object) -> bool:
    return isinstance(side, (int, float)) and side > 0


def _check_unique(path: str, content: dict) -> None:
    for part, key in (('images', 'id'), ('categories', 'id'), ('categories', 'name'), ('annotations', 'id')):
        values = [entry[key] for entry in content.get(part, ())]
        repetitions = len(values) - len(set(values))
        if repetitions:
            value, count = Counter(values).most_common(1)[0]
            raise UserError(
                f"{path}: {repetitions} of {len(values)} {part} have the '{key}' of another, "
                f'e.g. {value!r} occurs {count} times: each needs its own'
            )


def _check_classes(path: str, categories: list[dict], classes: Sequence[str]) -> None:
    names = [category['name'] for category in categories]
    missing = [name for name in classes if name not in names]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of the config's {len(classes)} classes are not among its categories, e.g. "
            f"'{missing[0]}'; the file has {shorten(names)}: name those to learn, e.g. --cfg-options "
            f'classes="{tuple(names[:2])}"'
        )


def _check_references(path: str, content: dict) -> None:
    annotations = content['annotations']
    known = {category['id'] for category in content['categories']}
    _refuse(
        path,
        [annotation for annotation in annotations if annotation['category_id'] not in known],
        len(annotations),
        "annotations have a category_id that 'categories' does not list",
        f'it lists {shorten(map(str, sorted(known)))}',
        shown=('id', 'image_id', 'category_id'),
    )
    known = {image['id'] for image in content['images']}
    _refuse(
        path,
        [annotation for annotation in annotations if annotation['image_id'] not in known],
        len(annotations),
        "annotations belong to an image that 'images' does not list",
        'list the image, or remove them',
    )


def _check_boxes(path: str, content: dict) -> None:
    annotations = content['annotations']
    try:
        boxes = np.array([annotation['bbox'] for annotation in annotations])
    except ValueError:  # lists of different lengths
        boxes = np.empty(0)
    if boxes.shape != (len(annotations), 4) or boxes.dtype.kind not in 'iuf':
        _refuse(
            path,
            [annotation for annotation in annotations if not _is_four_numbers(annotation['bbox'])],
            len(annotations),
            'annotations have a bbox that is not four numbers',
            _BOX_FORMAT,
            shown=('id', 'image_id', 'bbox'),
        )
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    limits = np.array([sizes[annotation['image_id']] for annotation in annotations], dtype=float)

    negative = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] < 0).any(1)
    fault = 'have a box of negative width or height, or one that is not finite'
    _refuse_or_warn(path, content, negative, fault, f'{_BOX_FORMAT}, not its corners', tolerated=0.0)

    empty = (boxes[:, 2:] == 0).any(1)
    _refuse_or_warn(path, content, empty, 'have a box without area', _BOX_FORMAT, TOLERATED_SHARE)

    top_left, bottom_right = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = ((top_left < -TOLERATED_PIXELS) | (bottom_right > limits + TOLERATED_PIXELS)).any(1)
    advice = f'{_BOX_FORMAT}, not its corners or shares of the image'
    _refuse_or_warn(path, content, outside, 'have a box outside of the image', advice, TOLERATED_SHARE)


def _is_four_numbers(box: object) -> bool:
    return isinstance(box, (list, tuple)) and len(box) == 4 and all(isinstance(value, (int, float)) for value in box)


def _check_masks(path: str, content: dict, classes: Sequence[str] | None) -> None:
    ids = {category['id'] for category in content['categories'] if classes is None or category['name'] in classes}
    chosen = [annotation for annotation in content['annotations'] if annotation['category_id'] in ids]
    _refuse(
        path,
        [annotation for annotation in chosen if not annotation.get('segmentation')],
        len(chosen),
        'annotations have no segmentation, which training and evaluating masks requires',
        'give polygons or RLE, or choose a config without masks',
    )


def _refuse_or_warn(path: str, content: dict, is_wrong: np.ndarray, fault: str, advice: str, tolerated: float) -> None:
    """Raise the error about the annotations where ``is_wrong``, or log a warning if their share is ``tolerated``."""
    annotations = content['annotations']
    wrong = [annotations[i] for i in np.flatnonzero(is_wrong)]
    if not wrong:
        return
    first = wrong[0]
    image = next(image for image in content['images'] if image['id'] == first['image_id'])
    box = f'bbox {first["bbox"]}, image {image["width"]} x {image["height"]}'
    if len(wrong) > tolerated * len(annotations):
        detail = f", '{image['file_name']}', {box}"
        _refuse(path, wrong, len(annotations), f'annotations {fault}', advice, detail=detail)
    print_log(
        f'{path}: {len(wrong)} of {len(annotations)} annotations {fault} and are left out, e.g. id {first["id"]} '
        f'({box})',
        logger='current',
        level=logging.WARNING,
    )


def _refuse(
    path: str,
    wrong: Sequence[dict],
    total: int,
    fault: str,
    advice: str,
    shown: Sequence[str] = ('id', 'image_id', 'file_name'),
    detail: str = '',
) -> None:
    """Raise the error about the entries that are wrong, if there are any.

    Args:
        total: number of entries, the wrong ones included.
        shown: keys by which the first wrong entry is described.
        detail: more about the first wrong entry.
    """
    if not wrong:
        return
    first = wrong[0]
    example = ', '.join(f'{key} {first[key]!r}' for key in shown if key in first) or str(first)
    raise UserError(f'{path}: {len(wrong)} of {total} {fault}, e.g. {example}{detail}: {advice}')
