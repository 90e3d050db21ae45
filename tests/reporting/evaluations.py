"""Runs of a moment, what tools/test.py prints of them, and made-up predictions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from mae_transfer.reporting.sections import Picture, Section, Table
from tests.inference.runs import Run
from tests.tools.commands import call

#: Objects that a made-up detector finds: (box as corners, label, score), by the id of the image; see
#: ``tests/own_data.py`` for the true ones.
FOUND = {
    10: [((4, 6, 32, 36), 0, 0.9), ((30, 20, 55, 56), 0, 0.8), ((0, 60, 20, 80), 0, 0.4), ((0, 0, 9, 9), 1, 0.1)],
    11: [((4, 6, 32, 36), 0, 0.95), ((30, 20, 55, 56), 1, 0.85)],
    12: [((2, 2, 30, 30), 1, 0.6)],
}


def figures_of_tool(run: Run, folder: Path, *options: str) -> dict[str, float]:
    """The last line of figures that tools/test.py prints."""
    ended = call('test', run.config, run.work_dir, '--work-dir', folder, *run.options, *options)
    assert ended.code == 0, ended.err
    line = re.findall(r'\(test\) \[\d+/\d+\] ((?!eta).*)', ended.out)[-1]
    return {name: float(value) for name, value in re.findall(r'(\S+): (-?[\d.]+)', line)}


def found_objects(self, inputs, samples, rescale=True):
    """In place of a detector's ``predict``; masks are the boxes."""
    for sample in samples:
        height, width = sample.ori_shape
        entries = FOUND[sample.img_id]
        masks = torch.zeros(len(entries), height, width, dtype=torch.bool)
        for mask, ((left, top, right, bottom), _, _) in zip(masks, entries):
            mask[top:bottom, left:right] = True
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([box for box, _, _ in entries], dtype=torch.float32),
            labels=torch.tensor([label for _, label, _ in entries]),
            scores=torch.tensor([score for _, _, score in entries]),
            masks=masks,
        )
    return samples


def nothing_found(self, inputs, samples, rescale=True):
    """In place of a detector's ``predict``."""
    for sample in samples:
        sample.pred_instances = InstanceData(
            bboxes=torch.zeros(0, 4),
            labels=torch.zeros(0, dtype=torch.int64),
            scores=torch.zeros(0),
            masks=torch.zeros(0, *sample.ori_shape, dtype=torch.bool),
        )
    return samples


def half_right(self, inputs, samples):
    """In place of a segmentor's ``predict``: image '1' is right but for its left half, all others are right."""
    for sample in samples:
        labels = sample.gt_sem_seg.data.clone()
        labels[labels == 255] = 0
        if Path(sample.img_path).stem == '1':
            half = labels.shape[2] // 2
            labels[..., :half] = 1 - labels[..., :half]
        sample.pred_sem_seg = PixelData(data=labels)
    return samples


def tables(section: Section) -> list[Table]:
    return [part for part in section.parts if isinstance(part, Table)]


def pictures(section: Section) -> list[Picture]:
    found = [part for part in section.parts if isinstance(part, Picture)]
    for picture in found:
        assert picture.image.dtype == np.uint8 and picture.image.ndim == 3 and picture.image.shape[2] == 3
    return found
