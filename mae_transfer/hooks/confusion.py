"""Confusion matrix of a classifier, written as a picture and a table after a test."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from ..evaluation.accuracy import Accuracy
from ..registry import HOOKS
from ..visualization.confusion import confusion_picture


@HOOKS.register_module()
class ConfusionHook(Hook):
    """Write ``confusion.png`` and ``confusion.csv`` into the log folder of a test, and the picture to the visualizer.

    Both have a row for each true class and a column for each predicted class, of the classes that occur in the data
    set; the table contains numbers of images. Without :class:`~mae_transfer.evaluation.Accuracy` among the metrics of
    the test, nothing is written.
    """

    priority = 'LOW'

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Write the confusion matrix of the evaluator's first ``Accuracy``."""
        evaluator = getattr(runner.test_loop, 'evaluator', None)
        metric = next((metric for metric in getattr(evaluator, 'metrics', ()) if isinstance(metric, Accuracy)), None)
        if metric is None:
            return
        confusion = metric.confusion[np.ix_(metric.present, metric.present)]
        classes = tuple(metric.classes[label] for label in metric.present)
        folder = Path(runner.log_dir)
        picture = confusion_picture(confusion, classes)
        Image.fromarray(picture).save(folder / 'confusion.png')
        with open(folder / 'confusion.csv', 'w', encoding='utf-8', newline='') as file:
            table = csv.writer(file)
            table.writerow(['true class', *classes])
            table.writerows([name, *row.tolist()] for name, row in zip(classes, confusion))
        runner.logger.info(f'confusion matrix: {folder / "confusion.png"} and confusion.csv')
        # Without a step, because runner.iter would build the training data.
        runner.visualizer.add_image('confusion', picture)
