"""COCO's average precision, computed by faster-coco-eval if it is installed, otherwise by pycocotools."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import CocoMetric
from mmengine.logging import print_log
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from ..compat.faster_ap import evaluated_by, faster_evaluation, has_faster_coco_eval
from ..data.coco.file import read_coco
from ..data.coco.json_files import reading
from ..data.coco.values import IN_FILE
from ..errors import UserError, shorten
from ..progress import Waiting
from ..registry import METRICS
from ..runs.console import log_table

#: What ``metric`` and ``metric_items`` may name.
_METRICS = ('bbox', 'segm', 'proposal', 'proposal_fast')
_ITEMS = (
    *('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'),
    *('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000'),
)

#: Predictions whose comparison takes more than a few seconds.
_MANY = 100_000


@METRICS.register_module()
class CocoAP(CocoMetric):
    """MMDetection's ``CocoMetric``, with the same settings, metric names and numbers (``coco/bbox_mAP`` etc.).

    Differences: it is faster if faster-coco-eval is installed, and logs which library is used; predictions are matched
    with the file's categories by class name, regardless of the categories' order, also in the table of ``classwise``; a
    model that detects nothing has an AP of 0, for which ``CocoMetric`` returns no metric. Predictions that are written
    (``outfile_prefix``) have the ids of images and categories that the file has, also where they are text.

    Raises:
        UserError: a mistake in ``ann_file`` that :func:`~mae_transfer.data.coco.file.read_coco` finds; images or
            classes of the data set that it does not list; no object to evaluate; settings from which no AP follows.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        *args: Any,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        if format_only and outfile_prefix is None:
            raise UserError(
                'format_only=True writes the predictions, and needs to know where: set outfile_prefix too, e.g. '
                '--cfg-options test_evaluator.outfile_prefix=work_dirs/predictions'
            )
        _check_names('metric', kwargs.get('metric', 'bbox'), _METRICS)
        _check_names('metric_items', kwargs.get('metric_items') or [], _ITEMS)
        super().__init__(None, *args, format_only=format_only, outfile_prefix=outfile_prefix, **kwargs)
        self._check_counts()
        self._written: dict[str, str] = {}
        if ann_file is not None:
            # The only place where CocoMetric looks for the annotations; given ann_file, it would read them unchecked.
            with reading(ann_file):
                self._coco_api = read_coco(
                    ann_file,
                    annotated=not self.format_only,
                    masks='segm' in self.metrics and not self.format_only,
                    backend_args=self.backend_args,
                )
        self.ann_file = ann_file
        if self._coco_api is not None and not self.format_only:
            self._check_objects({category['name'] for category in self._coco_api.cats.values()})
        self._check_thresholds()
        # CocoMetric accepts a list or a number, but pycocotools needs an array.
        self.iou_thrs: np.ndarray = np.atleast_1d(np.array(self.iou_thrs, dtype=np.float64))

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write the predictions, with the category ids that belong to the class names; returns {kind: file}."""
        ids = {category['name']: id_ for id_, category in self._coco_api.cats.items()}
        self.cat_ids = [ids[name] for name in self.dataset_meta['classes']]
        with Waiting('predictions written'):
            files = self._written = super().results2json(results, outfile_prefix)
        self.cat_ids = sorted(self.cat_ids)  # both libraries return the classes in this order
        return files

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """Compute {name: value}, values in 0..1 rounded to thousandths; -1 if there are no objects, e.g. no large ones.

        Args:
            results: (ground truth, prediction) of all images.
        """
        self._check_images(results)
        if not self.format_only:
            self._check_objects(set(self.dataset_meta['classes']), results)
        if not self.format_only and not any(len(prediction['labels']) for _, prediction in results):
            results = _with_one_miss(results)
        fast = has_faster_coco_eval() and not self.use_mp_eval
        if not self.format_only:
            print_log(f'average precision by {"faster-coco-eval" if fast else "pycocotools"}', logger='current')
        with evaluated_by(_logged(faster_evaluation() if fast else COCOeval)):
            metrics = super().compute_metrics(results)
        self._restore_ids()
        # -1 of one size is normal: no object is small, for instance.
        bad = [name for name, value in metrics.items() if name.endswith('mAP') or name.startswith('AR@')]
        bad = [name for name in bad if not 0 <= metrics[name] <= 1]
        if bad:
            raise UserError(
                f'{self.ann_file}: {shorten(bad)} is {metrics[bad[0]]}, which means that no object was evaluated: look '
                "at the annotations' area, and at iou_thrs"
            )
        return metrics

    def _check_counts(self) -> None:
        """Refuse numbers of predictions from which pycocotools computes no AP: it needs 100, and three numbers."""
        numbers = [int(number) for number in self.proposal_nums]
        if {'bbox', 'segm'} & {*self.metrics} and (len(numbers) < 3 or 100 not in numbers):
            raise UserError(
                f'proposal_nums={tuple(numbers)} gives no AP: COCO counts the best 100 predictions of an image; give '
                'three numbers with 100 among them, e.g. (100, 300, 1000)'
            )

    def _check_thresholds(self) -> None:
        """Refuse overlaps that no box can have; raises ``UserError``."""
        thresholds = np.atleast_1d(self.iou_thrs)
        if not (thresholds.size and ((thresholds > 0) & (thresholds <= 1)).all()):
            raise UserError(
                f'iou_thrs are overlaps (IoU) above 0, up to 1, e.g. 0.5; found {shorten(map(str, thresholds))}'
            )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of a batch."""
        if self._coco_api is None and any('instances' not in sample for sample in data_samples):
            raise UserError(
                'the evaluator has no ann_file, and the pipeline loads no annotations to evaluate: set '
                "val_evaluator.ann_file and test_evaluator.ann_file to the data sets'"
            )
        if 'segm' in self.metrics and any('masks' not in sample['pred_instances'] for sample in data_samples):
            raise UserError(
                'the model predicts no masks: evaluate boxes alone, --cfg-options val_evaluator.metric=bbox '
                'test_evaluator.metric=bbox'
            )
        super().process(data_batch, data_samples)

    def _check_objects(self, classes: set[str], results: Sequence[tuple[dict, dict]] = ()) -> None:
        """Check that there is an object of the classes to evaluate; a crowd is none."""
        if self._coco_api is None:
            objects = [instance['ignore_flag'] for truth, _ in results for instance in truth['anns']]
        else:
            ids = {id_ for id_, category in self._coco_api.cats.items() if category['name'] in classes}
            objects = [entry['iscrowd'] for entry in self._coco_api.anns.values() if entry['category_id'] in ids]
        if not all(objects):
            return
        reason = f'all {len(objects):,} are crowds (iscrowd=1)' if objects else 'there is none'
        raise UserError(
            f'{self.ann_file or "the data set"} has no object to evaluate of the classes {shorten(sorted(classes))}: '
            f'{reason}; annotate some, or write the predictions alone: --cfg-options test_evaluator.format_only=True '
            'test_evaluator.outfile_prefix=work_dirs/predictions'
        )

    def _restore_ids(self) -> None:
        """Give the predictions on disk the ids that the annotation file has, where reading it changed them."""
        if self.outfile_prefix is None:
            return
        images, categories = (
            {id_: entry['id' + IN_FILE] for id_, entry in entries.items() if 'id' + IN_FILE in entry}
            for entries in (self._coco_api.imgs, self._coco_api.cats)
        )
        if not images and not categories:
            return
        for file in {Path(file) for file in self._written.values()}:
            predictions = json.loads(file.read_text())
            for prediction in predictions:
                prediction['image_id'] = images.get(prediction['image_id'], prediction['image_id'])
                prediction['category_id'] = categories.get(prediction['category_id'], prediction['category_id'])
            file.write_text(json.dumps(predictions))

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


def _check_names(setting: str, given: str | Sequence[str], known: tuple[str, ...]) -> None:
    """Refuse names that a setting does not have; raises ``UserError``."""
    names = [given] if isinstance(given, str) else list(given)
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"the evaluator's {setting} has no '{unknown[0]}': choose among {', '.join(known)}")


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


def _logged(kind: type[COCOeval]) -> type[COCOeval]:
    """A class of pycocotools that logs its table, where the other prints it, and tells nothing else but its progress.

    What is computed outside of Python, as by faster-coco-eval, is not counted.
    """

    class Evaluation(kind):  # type: ignore[valid-type, misc]
        def evaluate(self) -> None:
            classes = len({*self.params.catIds}) if self.params.useCats else 1
            self._done, self._all = 0, len({*self.params.imgIds}) * classes * (1 + len(self.params.areaRng))
            what = 'masks' if self.params.iouType == 'segm' else 'boxes'
            telling = Waiting(f'{what} compared with the truth, steps', at_once=len(self.cocoDt.anns) > _MANY)
            with redirect_stdout(io.StringIO()), telling as self._told:
                super().evaluate()

        def computeIoU(self, *args: Any) -> Any:  # noqa: N802, of one image and class
            self._count()
            return super().computeIoU(*args)

        def evaluateImg(self, *args: Any) -> Any:  # noqa: N802, of one image, class and range of areas
            self._count()
            return super().evaluateImg(*args)

        def accumulate(self, *args: Any) -> None:
            with redirect_stdout(io.StringIO()), Waiting('average precision computed'):
                super().accumulate(*args)

        def summarize(self) -> None:
            with redirect_stdout(io.StringIO()) as printed:
                super().summarize()
            log_table(printed.getvalue().rstrip())

        def _count(self) -> None:
            self._done += 1
            self._told(self._done, self._all)

    return Evaluation
