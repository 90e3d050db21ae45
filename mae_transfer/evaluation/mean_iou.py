"""mIoU of label maps that say something."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric
from PIL import Image

from ..data.label_maps.label_numbers import IGNORED
from ..errors import UserError, shorten
from ..registry import METRICS

#: What ``iou_metrics`` may name.
_METRICS = ('mIoU', 'mDice', 'mFscore')


@METRICS.register_module()
class MeanIoU(IoUMetric):
    """MMSegmentation's ``IoUMetric`` that names classes without a pixel, and ends in an error where it means nothing.

    A class without a labelled pixel counts as 0 where it is predicted, and not at all where it is not.

    Args:
        output_dir: folder for the predictions as label maps with the numbers of the data set's; None for none.
        format_only: whether predictions are only written, as for images without label maps.
        **kwargs: passed to ``IoUMetric``.

    Raises:
        UserError: no image, no label map, no labelled pixel; a label map of another size than the prediction;
            predictions that are not finite; unknown
            ``iou_metrics``; another ``ignore_index`` than 255; ``format_only`` without ``output_dir``; two
            images whose predictions have one name.
    """

    def __init__(self, output_dir: str | None = None, format_only: bool = False, **kwargs: Any) -> None:
        if format_only and output_dir is None:
            raise UserError('format_only writes predictions: set where, test_evaluator.output_dir=FOLDER')
        super().__init__(output_dir=output_dir, format_only=format_only, **kwargs)
        names = kwargs.get('iou_metrics', ['mIoU'])
        self.metrics: list[str] = [names] if isinstance(names, str) else list(names)
        if not self.metrics or set(self.metrics) - set(_METRICS):
            raise UserError(f'iou_metrics are {", ".join(_METRICS)}; found {shorten(map(str, self.metrics)) or "none"}')
        if self.ignore_index != IGNORED:
            raise UserError(
                f'ignore_index={self.ignore_index} of MeanIoU: ignored pixels are {IGNORED} in every label map that '
                'LabelledScenes reads; to ignore other numbers, name those of the classes, label_values=...'
            )
        self.written: dict[str, str] = {}  # the image of each file in output_dir

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch, and write its predictions."""
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            predicted, path = sample['pred_sem_seg']['data'].squeeze(0), sample.get('img_path', 'an image')
            _check_finite(sample, path)
            if not self.format_only:
                labels = self._labels_of(sample, predicted.shape, path)
                self.results.append(
                    self.intersect_and_union(predicted, labels.to(predicted), classes, self.ignore_index)
                )
            if self.output_dir is not None:
                self._write(predicted.cpu().numpy().astype(np.int64), path)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics over all images, in per cent."""
        if self.format_only:
            print_log(f'predictions are in {self.output_dir}', logger='current')
            return {}
        if not results:
            raise UserError('no image was evaluated: the data set is empty')
        pixels = sum(areas[3] for areas in results)
        absent = [name for name, count in zip(self.dataset_meta['classes'], pixels.tolist()) if not count]
        if len(absent) == len(pixels):
            raise UserError(
                f'mIoU means nothing: the label maps of all {len(results)} evaluated images have no pixel of a class; '
                'choose reduce_zero_label, label_values and classes that belong to them'
            )
        metrics = super().compute_metrics(results)
        if absent:
            print_log(
                f'{len(absent)} of {len(pixels)} classes have no pixel in the evaluated label maps: {shorten(absent)}; '
                'where such a class is predicted its IoU is 0, otherwise the means leave it out',
                logger='current',
                level=logging.WARNING,
            )
        # mFscore of precision and recall that are both 0 for every class.
        return {name: 0.0 if math.isnan(value) else float(value) for name, value in metrics.items()}

    def _labels_of(self, sample: dict, size: tuple[int, ...], path: str) -> Any:
        if 'gt_sem_seg' not in sample:
            raise UserError(
                f'{path} has no label map, without which there is no mIoU: to write predictions only, set '
                'test_evaluator.format_only=True test_evaluator.output_dir=FOLDER'
            )
        labels = sample['gt_sem_seg']['data'].squeeze(0)
        if labels.shape != size:
            raise UserError(
                f'{path}: the label map is {labels.shape[1]} x {labels.shape[0]} pixels, the prediction {size[1]} x '
                f'{size[0]}: put LoadLabels after all resizing in the pipeline, as predictions have the original size'
            )
        return labels

    def _write(self, predicted: np.ndarray, path: str) -> None:
        """Write a prediction with the numbers that the label maps have."""
        name = f'{Path(path).stem}.png'
        if self.written.setdefault(name, path) != path:
            raise UserError(
                f'the predictions of {self.written[name]} and {path} would both be {Path(self.output_dir, name)}: '
                'predict one folder at a time'
            )
        if (values := self.dataset_meta.get('label_values')) is not None:
            predicted = np.array(values)[predicted]
        elif self.dataset_meta.get('reduce_zero_label'):
            predicted = predicted + 1
        kind = np.uint8 if predicted.max() < 256 else np.uint16
        Image.fromarray(predicted.astype(kind)).save(Path(self.output_dir, name))


def _check_finite(sample: dict, path: str) -> None:
    """Refuse NaN, which would pass as a prediction of some class."""
    for name in ('seg_logits', 'probabilities'):
        if name in sample and not sample[name]['data'].isfinite().all():
            raise UserError(
                f'the prediction for {path} is not finite: the training of these weights failed, or float16 overflows; '
                'choose another checkpoint or precision'
            )
