"""What a classifier took for what, as a picture and a table, when it has been tested."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from PIL import Image

from ..evaluation.accuracy import Accuracy
from ..registry import HOOKS
from ..visualization.confusion import confusion_picture


@HOOKS.register_module()
class ConfusionHook(Hook):
    """Write ``confusion.png`` and ``confusion.csv`` into the test's log folder, and the picture to the visualizer.

    Both show the classes that the data set holds, true classes in rows, predicted ones in columns; the table has
    numbers of images. Where the test has no :class:`~mae_transfer.evaluation.Accuracy`, nothing is written.
    """

    priority = 'LOW'

    @master_only
    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        """Draw and write the confusion of the evaluator's first ``Accuracy``."""
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
        runner.logger.info(f'what was taken for what: {folder / "confusion.png"} and confusion.csv')
        runner.visualizer.add_image('confusion', picture)  # without a step: runner.iter would build the training's data
