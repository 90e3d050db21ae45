"""The parts of detectors and segmentors that a benchmark tells apart: which methods belong to which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from .part_clock import PartClock

#: (name in the model, method, part).
SEGMENTOR = (
    ('backbone', 'forward', 'backbone'),
    ('neck', 'forward', 'pyramid'),
    ('decode_head', 'forward', 'decode head: layers'),
    ('decode_head', 'loss_by_feat', 'decode head: loss'),
    ('auxiliary_head', 'forward', 'auxiliary head: layers'),
    ('auxiliary_head', 'loss_by_feat', 'auxiliary head: loss'),
)
DETECTOR = (
    ('backbone', 'forward', 'backbone'),
    ('neck', 'forward', 'pyramid'),
    ('rpn_head', 'forward', 'RPN: layers'),
    ('rpn_head', 'loss_by_feat', 'RPN: targets, loss'),
    ('rpn_head', 'predict_by_feat', 'RPN: proposals'),
    ('roi_head.bbox_assigner', 'assign', 'regions: assigned, sampled'),
    ('roi_head.bbox_sampler', 'sample', 'regions: assigned, sampled'),
    ('roi_head.bbox_roi_extractor', 'forward', 'boxes: RoIAlign'),
    ('roi_head.bbox_head', 'forward', 'boxes: layers'),
    ('roi_head.bbox_head', 'loss_and_target', 'boxes: loss'),
    ('roi_head.mask_roi_extractor', 'forward', 'masks: RoIAlign'),
    ('roi_head.mask_head', 'forward', 'masks: layers'),
    ('roi_head.mask_head', 'loss_and_target', 'masks: targets, loss'),
)


def watch_parts(clock: PartClock, model: nn.Module) -> None:
    """Have a clock tell apart the parts of a detector or a segmentor that it has."""
    for path, method, part in SEGMENTOR if hasattr(model, 'decode_head') else DETECTOR:
        for owner in _at(model, path):
            clock.watch(owner, method, part)


def _at(owner: Any, path: str) -> Iterator[Any]:
    """What is at a dotted path, one or, as in a cascade, several; nothing if the model has none."""
    for name in path.split('.'):
        owner = getattr(owner, name, None)
    if owner is not None:
        yield from owner if isinstance(owner, (list, nn.ModuleList)) else [owner]
