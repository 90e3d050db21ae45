"""Accuracy of a classifier: over all images and by class, with the confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..data.photos.source import check_present
from ..errors import UserError, is_whole
from ..registry import METRICS


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Top-k and mean per-class accuracy, in per cent.

    Reports ``accuracy/top<k>`` for each k below the number of classes (any larger k would give 100), and
    ``accuracy/mean_class``, the mean of the classes' top-1, over the classes that have images. Each image counts once,
    regardless of the number of processes and of repeated images that fill up the last batches.

    If the data set contains only some of the classes (``present`` in its metainfo), scores are compared only among
    these, as in the evaluation of ImageNet-A and -R (Hendrycks et al., arXiv 1907.07174 and 2006.16241, and their
    code).

    Args:
        topk: values of k.
        per_class: whether to log a table with a row for each class.
        **kwargs: as in MMEngine's ``BaseMetric``.

    Raises:
        UserError: a k below 1; what :func:`rank_labels` raises; no image was evaluated.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: tuple[int, ...] = (1, 5), per_class: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(topk, (tuple, list)) or not all(is_whole(k, 1) for k in topk):
            raise UserError(f'topk is a list of whole numbers, 1 or more, e.g. (1, 5); found {topk!r}')
        self.topk, self.per_class = tuple(topk), per_class
        self.labels = self.predictions = np.empty(0, np.int64)

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep four integers of each image: its index, its label, the predicted label, and the rank of its label."""
        self.results.extend(rank_labels(data_batch, data_samples, self.dataset_meta))

    def compute_metrics(self, results: list[tuple[int, int, int, int]]) -> dict[str, float]:
        """Compute the accuracies; afterwards :attr:`confusion` is the confusion matrix of these images."""
        if not results:
            raise UserError('no image was evaluated: the data set is empty, or none of its images can be read')
        check_present(self.present, self.classes)
        rows = np.array(results, np.int64)
        rows = rows[np.unique(rows[:, 0], return_index=True)[1]]  # samplers repeat images to fill up the last batches
        _, self.labels, self.predictions, ranks = rows.T
        metrics = {f'top{k}': 100 * float(np.mean(ranks < k)) for k in self.topk if k < len(self.present)}
        if left_out := [k for k in self.topk if k > 5 and k >= len(self.present)]:
            print_log(f'top-{left_out[0]} of {len(self.present)} classes would always be 100: left out', 'current')
        images = np.bincount(self.labels)
        right = np.bincount(self.labels[ranks == 0], minlength=len(images))
        metrics['mean_class'] = 100 * float(np.mean(right[images > 0] / images[images > 0]))
        if self.per_class:
            print_log('\n' + per_class_table(self.confusion, self.classes, self.present), logger='current')
        return metrics

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes, in label order."""
        return _class_names(self.dataset_meta)

    @property
    def present(self) -> tuple[int, ...]:
        """The labels among which scores are compared."""
        return present_labels(self.dataset_meta)

    @property
    def confusion(self) -> np.ndarray:
        """Confusion matrix of the last evaluation, only in the main process.

        (C, C) int64: the number of images by true (row) and predicted (column) label.
        """
        count = len(self.classes)
        return np.bincount(self.labels * count + self.predictions, minlength=count**2).reshape(count, count)


def rank_labels(
    data_batch: dict, data_samples: list[dict], dataset_meta: dict | None
) -> list[tuple[int, int, int, int]]:
    """Find the predicted label of each image, and the rank of its true label.

    Args:
        data_batch: ``labels`` (B,) and ``indices`` (B,), int64, as from ``collate_labelled``.
        data_samples: B dicts with ``scores`` (C,).
        dataset_meta: ``classes``, C names; ``present``, the labels among which scores are compared (default: all).

    Returns:
        For each image: its index, its label, the predicted label, and the label's rank: the number of classes with a
        higher score, or with an equal score and a lower label. Rank 0 is a correct prediction.

    Raises:
        UserError: no labels; a label that is not among the present classes; another number of scores than of classes;
            scores that are not finite (no score is greater than NaN, so a NaN would rank first).
    """
    if missing := [name for name in ('labels', 'indices') if name not in data_batch]:
        raise UserError(
            f'images without {" and ".join(missing)} cannot be evaluated (the batch has {", ".join(data_batch)}): '
            'test on a labelled data set, e.g. LabelledPhotos'
        )
    present = present_labels(dataset_meta)
    count = len(_class_names(dataset_meta))
    labels, indices = data_batch['labels'], data_batch['indices']
    scores = torch.stack([sample['scores'] for sample in data_samples])
    if scores.shape[1] != count:
        raise UserError(
            f'the model gives scores for {scores.shape[1]} classes, the data set has {count}: '
            'choose the checkpoint and model.num_classes that belong to the data'
        )
    hidden = torch.ones(count, dtype=torch.bool)
    hidden[list(present)] = False
    for index, label in zip(indices.tolist(), labels.tolist()):
        if not 0 <= label < count or hidden[label]:
            raise UserError(
                f'image {index} has label {label}, which is not among the {len(present)} classes of its data set '
                f'(labels {min(present)} to {max(present)})'
            )
    if broken := indices[~scores.isfinite().all(1)].tolist():
        raise UserError(
            f'the scores of image {broken[0]} are not finite ({len(broken)} such images in a batch of {len(indices)}): '
            'the training of these weights failed, or float16 overflows; choose another checkpoint or precision'
        )
    scores = scores.masked_fill(hidden, -torch.inf)
    label_scores = scores.gather(1, labels[:, None])
    is_lower = torch.arange(count) < labels[:, None]
    ranks = ((scores > label_scores) | (scores == label_scores) & is_lower).sum(1)
    return list(zip(indices.tolist(), labels.tolist(), scores.argmax(1).tolist(), ranks.tolist()))


def _class_names(dataset_meta: dict | None) -> tuple[str, ...]:
    """The names of the classes of a data set, from its metainfo, in label order.

    Raises:
        UserError: the metainfo does not name the classes.
    """
    if not dataset_meta or not dataset_meta.get('classes'):
        raise UserError(
            'the data set has no metainfo that names its classes: test on a labelled data set, e.g. LabelledPhotos'
        )
    return dataset_meta['classes']


def present_labels(dataset_meta: dict | None) -> tuple[int, ...]:
    """The labels that occur in a data set, from its metainfo; raises as :func:`_class_names`."""
    every = range(len(_class_names(dataset_meta)))
    return tuple((dataset_meta or {}).get('present', every))


def per_class_table(confusion: np.ndarray, classes: tuple[str, ...], present: tuple[int, ...]) -> str:
    """Format the accuracy by class: a row for each, with the class that it is most often confused with.

    Args:
        confusion: (C, C) number of images by true (row) and predicted label.
        classes: C names.
        present: labels of the rows to show.
    """
    rows = [('class', 'images', 'top-1', 'most often confused with')]
    for label in present:
        images, correct = confusion[label].sum(), confusion[label, label]
        wrong = confusion[label].copy()
        wrong[label] = 0
        other = wrong.argmax()
        top1 = f'{100 * correct / images:.1f}' if images else '-'
        confused = f'{classes[other]} ({100 * wrong[other] / images:.1f} %)' if wrong[other] else '-'
        rows.append((classes[label], str(images), top1, confused))
    width = [max(len(row[column]) for row in rows) for column in range(3)]
    return '\n'.join(
        f'{name:<{width[0]}}  {images:>{width[1]}}  {top1:>{width[2]}}  {confused}'
        for name, images, top1, confused in rows
    )
