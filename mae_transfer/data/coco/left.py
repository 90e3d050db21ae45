"""What is left of a file in COCO's format after filtering: how many objects are learnt from or evaluated, and why."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from ...errors import UserError, shorten
from .file import CocoFile

#: Reasons for leaving an object out, and what to do where no object is left.
_OTHER_CLASS, _IGNORED, _TINY, _CROWD = (
    'of other classes',
    'marked ignore=1',
    'smaller than a pixel',
    'crowd (iscrowd=1)',
)
_SMALL_IMAGE, _REST = 'in images that filter_cfg leaves out', 'left out by the data set'
_ADVICE = {
    _OTHER_CLASS: 'choose classes that the annotations have, by classes=...',
    _IGNORED: 'set ignore to 0 where it is an object',
    _TINY: 'bbox is [left, top, width, height] in pixels, width and height of 1 or more',
    _CROWD: 'a crowd is several objects in one region, and not learnt: set iscrowd to 0 where it is one object',
    _SMALL_IMAGE: "set the data set's filter_cfg.min_size",
    _REST: 'look at its filter_cfg',
}


def report_learnt(
    ann_file: str, file: CocoFile, classes: Sequence[str], before: Sequence[dict], after: Sequence[dict]
) -> None:
    """Log how many objects are learnt from, and warn of classes without any.

    Args:
        ann_file: the file's name for messages.
        file: its content.
        classes: names in label order.
        before, after: the data set's entries before and after it filtered images.

    Raises:
        UserError: no object is left to learn from.
    """
    labels = Counter(_labels_learnt(after))
    learnt = sum(labels.values())
    parts = _left_out(file, classes)
    parts[_SMALL_IMAGE] = sum(1 for _ in _labels_learnt(before)) - learnt
    total = len(file.anns)
    parts[_REST] = max(0, total - learnt - sum(parts.values()))
    _report(ann_file, 'learnt from', learnt, total, parts, len(after), len(before))
    unseen = [name for label, name in enumerate(classes) if not labels[label]]
    if unseen:
        print_log(
            f'{ann_file}: {len(unseen)} of {len(classes)} classes have no object to learn from: {shorten(unseen)}',
            logger='current',
            level=logging.WARNING,
        )


def report_evaluated(ann_file: str, file: CocoFile, classes: Sequence[str]) -> None:
    """Log how many objects are evaluated, and warn of classes without any.

    As in both AP libraries, ``ignore`` and the size of an object make no difference.

    Args:
        ann_file, file, classes: as for :func:`report_learnt`.

    Raises:
        UserError: there are annotations, but none counts. Without any, predictions may be all that is wanted.
    """
    if not file.anns:
        return
    parts = _left_out(file, classes, evaluated=True)
    total = len(file.anns)
    _report(ann_file, 'evaluated', total - sum(parts.values()), total, parts, len(file.imgs), len(file.imgs))
    seen = {file.cats[a['category_id']]['name'] for a in file.anns.values() if not a['iscrowd']}
    unseen = [name for name in classes if name not in seen]
    if unseen:
        print_log(
            f'{ann_file}: {len(unseen)} of {len(classes)} classes have no object to evaluate, and are not in the mean: '
            f'{shorten(unseen)}',
            logger='current',
            level=logging.WARNING,
        )


def _labels_learnt(entries: Iterable[dict]) -> Iterable[int]:
    return (
        instance['bbox_label']
        for entry in entries
        for instance in entry.get('instances', ())
        if not instance['ignore_flag']
    )


def _left_out(file: CocoFile, classes: Sequence[str], evaluated: bool = False) -> dict[str, int]:
    """{reason: number of objects}; the first that holds counts.

    For training the reasons are those of MMDetection's `CocoDataset.parse_data_info`.
    """
    annotations: list[dict[str, Any]] = list(file.anns.values())
    if not annotations:
        return {}
    ids = {id_ for id_, category in file.cats.items() if category['name'] in set(classes)}
    other = np.array([annotation['category_id'] not in ids for annotation in annotations])
    crowd = np.array([bool(annotation['iscrowd']) for annotation in annotations])
    masks = {_OTHER_CLASS: other, _CROWD: crowd}
    if not evaluated:
        boxes = np.array([annotation['bbox'] for annotation in annotations], float)
        areas = np.array([annotation['area'] for annotation in annotations], float)
        sizes = [file.imgs[annotation['image_id']] for annotation in annotations]
        limits = np.array([(image['width'], image['height']) for image in sizes], float)
        inner = np.minimum(boxes[:, :2] + boxes[:, 2:], limits) - np.maximum(boxes[:, :2], 0)
        tiny = (inner <= 0).any(1) | (areas <= 0) | (boxes[:, 2:] < 1).any(1)
        ignored = np.array([bool(annotation.get('ignore')) for annotation in annotations])
        masks = {_OTHER_CLASS: other, _IGNORED: ignored, _TINY: tiny, _CROWD: crowd}
    counts, free = {}, np.ones(len(annotations), bool)
    for reason, mask in masks.items():
        counts[reason] = int((mask & free).sum())
        free &= ~mask
    return counts


def _report(
    ann_file: str, use: str, count: int, total: int, parts: Mapping[str, int], images: int, all_images: int
) -> None:
    reasons = [f'{number:,} {reason}' for reason, number in parts.items() if number]
    left_out = f'; left out: {", ".join(reasons)}' if reasons else ''
    if not count:
        most = max(parts, key=lambda reason: parts[reason], default=_REST)
        raise UserError(f'{ann_file}: none of its {total:,} objects is {use}{left_out}: {_ADVICE[most]}')
    text = f'{ann_file}: {count:,} of {total:,} objects in {images:,} of {all_images:,} images are {use}{left_out}'
    print_log(text, logger='current')
