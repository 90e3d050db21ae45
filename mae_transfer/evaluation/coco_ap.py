"""COCO's average precision, computed by faster-coco-eval if it is installed, otherwise by pycocotools."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import CocoMetric
from mmengine.logging import print_log
from pycocotools import mask as coco_mask

from ..compat.faster_ap import has_faster_coco_eval, use_faster_coco_eval
from ..data.coco_file import read_coco
from ..errors import UserError
from ..registry import METRICS


@METRICS.register_module()
class CocoAP(CocoMetric):
    """MMDetection's ``CocoMetric``, with the same settings, metric names and numbers (``coco/bbox_mAP`` etc.).

    Differences: it is faster if faster-coco-eval is installed, and logs which library is used; predictions are matched
    with the file's categories by class name, regardless of the categories' order, also in the table of ``classwise``; a
    model that detects nothing has an AP of 0, for which ``CocoMetric`` returns no metric.

    Raises:
        UserError: a mistake in ``ann_file`` that :func:`~mae_transfer.data.coco_file.read_coco` finds; images or
            classes of the data set that it does not list.
    """

    def __init__(self, ann_file: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(None, *args, **kwargs)
        if ann_file is not None:
            # The only place where CocoMetric looks for the annotations; given ann_file, it would read them unchecked.
            self._coco_api = read_coco(
                ann_file, annotated=not self.format_only, masks='segm' in self.metrics, backend_args=self.backend_args
            )
        self.ann_file = ann_file
        # CocoMetric accepts a list or a number, but pycocotools needs an array.
        self.iou_thrs: np.ndarray = np.atleast_1d(np.array(self.iou_thrs, dtype=np.float64))

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write the predictions, with the category ids that belong to the class names; returns {kind: file}."""
        ids = {category['name']: id_ for id_, category in self._coco_api.cats.items()}
        self.cat_ids = [ids[name] for name in self.dataset_meta['classes']]
        files = super().results2json(results, outfile_prefix)
        self.cat_ids = sorted(self.cat_ids)  # both libraries return the classes in this order
        return files

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """Compute {name: value}, values in 0..1 rounded to thousandths; -1 if there are no objects, e.g. no large ones.

        Args:
            results: (ground truth, prediction) of all images.
        """
        self._check_images(results)
        if not any(len(prediction['labels']) for _, prediction in results):
            results = _with_one_miss(results)
        fast = has_faster_coco_eval() and not self.use_mp_eval
        print_log(f'average precision by {"faster-coco-eval" if fast else "pycocotools"}', logger='current')
        with use_faster_coco_eval() if fast else nullcontext():
            return super().compute_metrics(results)

    def _check_images(self, results: list[tuple[dict, dict]]) -> None:
        if self._coco_api is None:
            return
        unknown = [truth['img_id'] for truth, _ in results if truth['img_id'] not in self._coco_api.imgs]
        names = {category['name'] for category in self._coco_api.cats.values()}
        missing = [name for name in self.dataset_meta['classes'] if name not in names]
        if unknown or missing:
            fault = f'lists no image with id {unknown[0]}' if unknown else f"has no category '{missing[0]}'"
            raise UserError(
                f"{self.ann_file} {fault}, but the data set has: set the evaluator's ann_file to the data set's"
            )


def _with_one_miss(results: list[tuple[dict, dict]]) -> list[tuple[dict, dict]]:
    """Add one prediction that matches nothing and has score 0, so that ``CocoMetric`` computes metrics at all."""
    results = copy.copy(results)
    truth, prediction = results[0]
    miss = dict(prediction, bboxes=np.zeros((1, 4)), scores=np.zeros(1), labels=np.zeros(1, int))
    if 'masks' in prediction:
        empty = np.zeros((truth['height'], truth['width'], 1), dtype=np.uint8, order='F')
        miss.update(masks=coco_mask.encode(empty), mask_scores=np.zeros(1))
    results[0] = truth, miss
    return results
