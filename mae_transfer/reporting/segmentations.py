"""What a segmentor gets right: IoU, confusions, and the images with the lowest mIoU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from PIL import Image

from ..data.files.photo_files import PhotoFiles
from ..data.label_maps.palette import distinct_colours
from ..inference.dense_images import DenseImages
from ..inference.overlays import draw_labels
from ..paths import shown
from .confusions import confusion_parts
from .judge import Judge, left_out
from .panels import SIDE, scale_of, scaled, side_by_side
from .sections import Picture, Section, Table
from .worst import Worst


class _Judged(NamedTuple):
    """An image whose prediction is shown: its file, its mIoU in per cent, both label maps (H, W)."""

    path: Path
    miou: float
    truth: np.ndarray
    predicted: np.ndarray


class Segmentations(Judge):
    """See :class:`~mae_transfer.reporting.judge.Judge`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.iou = self.metric(IoUMetric)
        self.classes = tuple(self.iou.dataset_meta['classes'])
        count = len(self.classes)
        self.confusion = np.zeros((count, count), np.int64)
        self._areas = torch.zeros(4, count, dtype=torch.float64)
        self._worst: Worst[_Judged] = Worst(self.pictures)

    def add(self, batch: dict, outputs: Sequence[Any]) -> None:
        """See the base class."""
        for areas, sample in zip(self.iou.results[-len(outputs) :], outputs):
            # Intersection, union, predicted and true pixels of each class, as the metric has counted them.
            counted = torch.stack([area.double() for area in areas])
            self._areas += counted
            truth = sample.gt_sem_seg.data.squeeze(0).cpu().numpy()
            predicted = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()
            is_labelled = truth != self.iou.ignore_index
            count = len(self.classes)
            pairs = truth[is_labelled].astype(np.int64) * count + predicted[is_labelled]
            self.confusion += np.bincount(pairs, minlength=count**2).reshape(count, count)
            if is_labelled.any():
                miou = float(np.nanmean(_by_class(counted)['IoU']))
                image = Path(sample.img_path)
                self._worst.add(-miou, lambda: _Judged(image, miou, truth, predicted))  # noqa: B023 -- called at once

    def sections(self, metrics: Mapping[str, Any]) -> list[Section]:
        """See the base class."""
        by_class, prefix = _by_class(self._areas), f'{self.iou.prefix}/' if self.iou.prefix else ''
        pixels = self._areas[3].long().tolist()
        rows = [
            (name, pixels[label], _rounded(by_class['IoU'][label]), _rounded(by_class['Acc'][label]))
            for label, name in enumerate(self.classes)
        ]
        absent = [name for name, _, iou, _ in rows if iou is None]
        rows = sorted((row for row in rows if row[2] is not None), key=lambda row: row[2] or 0)
        names = [name.removeprefix(prefix) for name in metrics]
        total = Table(
            tuple(names),
            (tuple(round(float(value), 2) for value in metrics.values()),),
            'In per cent. mIoU is the mean over the classes of intersection over union, mAcc of the share of the '
            'pixels of a class that are right; aAcc is the share of all pixels that are right.',
        )
        table = Table(
            ('class', 'pixels', 'IoU', 'accuracy'),
            tuple(rows),
            'In per cent, the lowest IoU first.' + left_out(absent, 'a pixel, labelled or predicted'),
        )
        return [
            Section('Overlap with the truth', f'They have {sum(pixels):,} labelled pixels.', (total, table)),
            Section(
                'Confusion between classes',
                'Labelled pixels of all images.',
                confusion_parts(self.confusion, self.classes, 'pixels'),
            ),
            Section(
                'Predictions beside the truth, worst first',
                "The images with the lowest mIoU, the mean over the classes of an image's truth or prediction. Pixels "
                'without a colour in the truth count nowhere.',
                tuple(map(self._picture, self._worst.items())),
            ),
        ]

    def _picture(self, image: _Judged) -> Picture:
        images = DenseImages(self.trained.cfg)
        photo = images.picture(images.read(PhotoFiles(image.path.parent, [image.path.name]), 0))
        colours = self.iou.dataset_meta.get('palette') or distinct_colours(len(self.classes))
        scale = scale_of(photo, SIDE)
        small = scaled(photo, scale)
        labels = (scaled(label_map.astype(np.int32), scale) for label_map in (image.truth, image.predicted))
        panels = [
            Image.fromarray(small),
            *(draw_labels(small, label_map, self.classes, colours) for label_map in labels),
        ]
        text = f'{shown(image.path.name)}: mIoU {image.miou:.1f}'
        return Picture(side_by_side(panels, ('photo', 'truth', 'prediction')), text)


def _by_class(areas: torch.Tensor) -> dict[str, np.ndarray]:
    """IoU and Acc of each class in per cent, by MMSegmentation's own formula; NaN for a class without pixels."""
    found = IoUMetric.total_area_to_metrics(*areas, metrics=['mIoU'])
    return {name: 100 * np.asarray(values) for name, values in found.items()}


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)
