"""Read and check an annotation file in COCO's format.

Without the checks, a mistake in the file would silently cost labels, or raise an error only hours later.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmengine.fileio import get_local_path

from ...errors import UserError, shorten
from ...progress import Waiting
from .agreement import check_areas_of_corners, check_repetitions
from .json_files import read_json, without_collection
from .normalization import image_sizes, normalise, normalise_masks_and_areas
from .values import Tally, brief, describe, note, refuse

#: How far a box may extend beyond its image: boxes drawn by hand and rounded do (COCO's by less than a pixel).
TOLERATED_PIXELS = 2.0
#: Share of annotations that may have a box without area or outside of the image: COCO 2017's training set has two boxes
#: of zero height among 860 001. MMDetection leaves such boxes out.
TOLERATED_SHARE = 1e-4
_REQUIRED_KEYS = dict(
    images=('id', 'file_name', 'width', 'height'), categories=('id', 'name'), annotations=('image_id', 'category_id')
)
_EXAMPLES = dict(
    images='[{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}]',
    categories='[{"id": 1, "name": "dog"}]',
    annotations='[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 64, 48]}]',
)
#: Names that --cfg-options reads as they are, without quotes.
_PLAIN = re.compile(r'[^\W\d_][\w -]*')
#: What the message about a file without annotations adds: how predictions for it are written.
_UNANNOTATED = (
    ': annotations are needed to train and to evaluate; to write predictions for images without any: tools/test.py ... '
    '--cfg-options test_evaluator.format_only=True test_evaluator.outfile_prefix=work_dirs/predictions'
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
        with redirect_stdout(io.StringIO()):
            self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def loadRes(self, resFile: str | list) -> COCO:  # noqa: N802, N803
        """As pycocotools', without a word on how long it took."""
        with redirect_stdout(io.StringIO()), Waiting('predictions read'):
            return super().loadRes(resFile)

    def get_cat_ids(
        self, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (), cat_ids: Sequence[int] = ()
    ) -> list[int]:
        """Ids of the categories that match all filters, in the order of ``cat_names``; an empty filter matches all."""
        found = super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))
        return sorted(found, key=lambda id_: list(cat_names).index(self.cats[id_]['name'])) if cat_names else found


@without_collection()
def read_coco(
    path: str,
    classes: Sequence[str] | None = None,
    annotated: bool = True,
    masks: bool = False,
    backend_args: dict | None = None,
) -> CocoFile:
    """Read a file in COCO's format, bring all values into one form, and check all of it.

    What has a plain meaning is taken, with one line for each kind (:mod:`~mae_transfer.data.coco.normalization`). The
    checks take .4 s for 100 000 boxes, .9 s with their polygons.

    Args:
        path: the JSON file.
        classes: names that must be among the file's categories; None for no requirement.
        annotated: whether there must be annotations; those of COCO's test sets are not public.
        masks: whether each annotation of ``classes`` must have a segmentation. Without it, segmentations are left as
            they are in the file.
        backend_args: of MMEngine's file reader, for files that are not on a local disk.

    Raises:
        UserError: the first kind of mistake that is found, in one line: the file, the number of cases, an example, and
            what would be right.
    """
    with get_local_path(path, backend_args=backend_args) as local:
        content = read_json(path, local)
    _check_layout(path, content, annotated)
    normalise(path, content)
    if classes is not None:
        _check_classes(path, content['categories'], classes)
    if content['annotations']:
        _check_boxes(path, content)
        check_areas_of_corners(path, content['annotations'])
    check_repetitions(path, content)
    normalise_masks_and_areas(path, content, _of_classes(content, classes) if masks else [])
    return CocoFile(content)


def _check_layout(path: str, content: dict, annotated: bool) -> None:
    """Check that the parts and the keys are there; ``annotations`` that are not needed become an empty list."""
    for part, keys in _REQUIRED_KEYS.items():
        optional = part == 'annotations' and not annotated
        entries = content.get(part, [] if optional else None)
        if optional and entries is None:
            entries = []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            advice = _UNANNOTATED if part == 'annotations' and entries is None else ''
            raise UserError(f"{path} is not in COCO's format: {_why_no_list(part, content)}{advice}")
        if not entries and not optional:
            raise UserError(f"{path}: the list '{part}' is empty{_UNANNOTATED if part == 'annotations' else ''}")
        content[part] = entries
        for key in keys:
            incomplete = [entry for entry in entries if key not in entry]
            advice = "COCO's format requires it"
            if key in ('width', 'height'):
                advice = "give the image's size in pixels"
            if key == 'file_name':
                advice = 'it is the path below data_prefix; path and coco_url are not read'
            if incomplete and 'segments_info' in incomplete[0]:
                advice = "this is COCO's panoptic format: give the file of the instances"
            refuse(path, incomplete, len(entries), f"{part} have no '{key}'", advice)
    images = content['images']
    wrong = [image for image in images if not _is_file_name(image['file_name'])]
    shown = ('id', 'file_name')
    fault = 'images have a file_name that is no text, or has a line break'
    refuse(path, wrong, len(images), fault, 'name the image file', shown)


def _why_no_list(part: str, content: dict) -> str:
    """What a file has in place of a list of dictionaries."""
    if content.get(part) is None:
        annotations = content.get('annotations')
        first = annotations[0] if isinstance(annotations, list) and annotations else None
        if part == 'categories' and isinstance(first, dict) and 'caption' in first:
            return "these are COCO's captions, without categories: give the file of the instances"
        null = ', which is null' if part in content else ''
        return f"it has no list of dictionaries '{part}'{null} (it has {shorten(map(_one_line, content)) or 'nothing'})"
    found = content[part]
    others = [entry for entry in found if not isinstance(entry, dict)] if isinstance(found, list) else [found]
    of_list = 'a list with ' if isinstance(found, list) else ''
    return (
        f"it has no list of dictionaries '{part}', such as {_EXAMPLES[part]}: it is {of_list}a "
        f'{type(others[0]).__name__}, {brief(others[0])}'
    )


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and name.strip() != '' and not re.search(r'[\x00-\x1f]', name)


def _of_classes(content: dict, classes: Sequence[str] | None) -> list[dict]:
    """The annotations of some classes; of all for None."""
    ids = {category['id'] for category in content['categories'] if classes is None or category['name'] in classes}
    return [annotation for annotation in content['annotations'] if annotation['category_id'] in ids]


def _check_classes(path: str, categories: list[dict], classes: Sequence[str]) -> None:
    names = [category['name'] for category in categories]
    missing = [name for name in classes if name not in names]
    names = [_one_line(name) for name in names]
    shown = [repr(name) if ',' in name else name for name in names]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of the config's {len(classes)} classes are not among its categories, e.g. "
            f"'{missing[0]}'; the file has {shorten(shown)}: list the class in 'categories' (no image has to show it), "
            f'or name those to learn, e.g. --cfg-options classes={_option(names[:2])}'
        )


def _one_line(text: str) -> str:
    """A name for a message: without line breaks, cut to 60 characters, only what can be printed."""
    return ' '.join(text.split())[:60].encode('utf-8', 'backslashreplace').decode()


def _option(names: Sequence[str]) -> str:
    """Names as a value of --cfg-options, quoted where a shell would divide them."""
    text = ','.join(names)
    if all(_PLAIN.fullmatch(name) and name not in ('None', 'True', 'False') for name in names):
        return f'"{text}"' if ' ' in text else text
    if set(text) & set('\'"$`\\!'):
        return 'FILE, with one name per line'
    return '"{}"'.format(''.join(f"'{name}'," for name in names))  # the last comma: one name is a list, too


def _check_boxes(path: str, content: dict) -> None:
    annotations = content['annotations']
    boxes = np.array([annotation['bbox'] for annotation in annotations], dtype=float)
    sizes = image_sizes(content)
    limits = np.array([sizes[annotation['image_id']] for annotation in annotations], dtype=float)

    negative = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] < 0).any(1)
    fault = 'have a box of negative width or height, or one that is not finite'
    _refuse_or_warn(path, content, negative, fault, f'{_BOX_FORMAT}, not its corners', tolerated=0.0)

    empty = (boxes[:, 2:] == 0).any(1)
    _refuse_or_warn(path, content, empty, 'have a box without area', _BOX_FORMAT, TOLERATED_SHARE)

    shares = np.all((boxes >= 0) & (boxes <= 1), axis=1) & np.any(boxes[:, 2:] < 1, axis=1)
    fault = 'have a box within the first pixel, as shares of the image look'
    if shares.sum() > len(boxes) / 2:
        advice = f'{_BOX_FORMAT}: multiply by the width and height of the image'
        _refuse_or_warn(path, content, shares, fault, advice, tolerated=0.0)

    top_left, bottom_right = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = ((top_left < -TOLERATED_PIXELS) | (bottom_right > limits + TOLERATED_PIXELS)).any(1)
    advice = f'{_BOX_FORMAT}, not its corners or shares of the image; cut boxes off at its edges'
    _refuse_or_warn(path, content, outside, 'have a box outside of the image', advice, TOLERATED_SHARE)


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
        detail = f', {brief(image["file_name"])}, {box}'
        refuse(path, wrong, len(annotations), f'annotations {fault}', advice, detail=detail)
    odd = Tally()
    for annotation in wrong:
        odd.add(describe(annotation, ('id', 'image_id')) + f' ({box})')
    note(path, odd, len(annotations), f'annotations {fault}', 'left out')
