"""COCO's average precision, computed by faster-coco-eval where it is installed and by pycocotools otherwise."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
from mmdet.evaluation.metrics import CocoMetric
from mmengine.logging import print_log
from pycocotools import mask as coco_mask

from ..compat.faster_ap import faster_ap, installed
from ..data.coco_file import read_coco
from ..errors import UserError
from ..registry import METRICS


@METRICS.register_module()
class CocoAP(CocoMetric):
    """MMDetection's ``CocoMetric``, with its settings, names and numbers (``coco/bbox_mAP``, ``coco/segm_mAP_50``,
    ...).

    What differs: it is faster where faster-coco-eval is installed, and says which library computes; label ``i`` is the
    class of that name in any file, whatever the order of its categories, also in the table of ``classwise``; a model
    that detects nothing has an AP of 0, where ``CocoMetric`` returns no metric.

    Raises:
        UserError: a mistake in ``ann_file``, as :func:`~mae_transfer.data.coco_file.read_coco` finds it; predictions
            for images that it does not list.
    """

    def __init__(self, ann_file: str | None = None, *args, **kwargs) -> None:
        super().__init__(None, *args, **kwargs)
        if ann_file is not None:
            self._coco_api = read_coco(
                ann_file, annotated=not self.format_only, masks='segm' in self.metrics, backend_args=self.backend_args
            )
        self.ann_file = ann_file
        self.iou_thrs = np.atleast_1d(
            np.asarray(self.iou_thrs, dtype=float)
        )  # pycocotools takes no list, without saying so

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write the predictions, labels as the category ids of the classes' names; returns {kind: file}."""
        ids = {category['name']: id_ for id_, category in self._coco_api.cats.items()}
        self.cat_ids = [ids[name] for name in self.dataset_meta['classes']]
        files = super().results2json(results, outfile_prefix)
        self.cat_ids = sorted(self.cat_ids)  # the order in which both libraries return the classes
        return files

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """{name: value}, of 1 and rounded to thousandths; -1 where there is nothing to find, such as large objects.

        Args:
            results: the (ground truth, prediction) of all images.
        """
        self._check_images(results)
        if not any(len(prediction['labels']) for _, prediction in results):
            results = _with_one_miss(results)
        fast = installed() and not self.use_mp_eval
        print_log(f'average precision by {"faster-coco-eval" if fast else "pycocotools"}', logger='current')
        with faster_ap() if fast else nullcontext():
            return super().compute_metrics(results)

    def _check_images(self, results: list[tuple[dict, dict]]) -> None:
        if self._coco_api is None:
            return
        unknown = [truth['img_id'] for truth, _ in results if truth['img_id'] not in self._coco_api.imgs]
        missing = [
            name
            for name in self.dataset_meta['classes']
            if not any(name == c['name'] for c in self._coco_api.cats.values())
        ]
        if unknown or missing:
            what = f'lists no image of id {unknown[0]}' if unknown else f"has no category '{missing[0]}'"
            raise UserError(
                f"{self.ann_file} {what}, which the data set has: set the evaluator's ann_file to the data set's"
            )


def _with_one_miss(results: list[tuple[dict, dict]]) -> list[tuple[dict, dict]]:
    """The predictions with one that hits nothing and has no score: it lowers no precision that is above 0."""
    results = copy.copy(results)
    truth, prediction = results[0]
    miss = dict(prediction, bboxes=np.zeros((1, 4)), scores=np.zeros(1), labels=np.zeros(1, int))
    if 'masks' in prediction:
        empty = np.zeros((truth['height'], truth['width'], 1), dtype=np.uint8, order='F')
        miss.update(masks=coco_mask.encode(empty), mask_scores=np.zeros(1))
    results[0] = truth, miss
    return results
