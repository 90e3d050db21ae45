"""How often a classifier is right: over all images, by class, and what it takes for what."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..errors import UserError
from ..registry import METRICS


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Top-k and mean per-class accuracy, in per cent.

    Reports ``accuracy/top<k>`` for each k below the number of classes (with more guesses than that, every image is
    right), and ``accuracy/mean_class``, the mean of the classes' top-1, over the classes that have images. Each image
    counts once, however many processes judge and whatever the batches are filled up with.

    Where the data set holds only some of the classes (its metainfo's ``present``), scores are compared among those
    alone, as ImageNet-A and -R are judged (Hendrycks et al., arXiv 1907.07174 and 2006.16241, and their evaluation
    code).

    Args:
        topk: numbers of guesses.
        per_class: whether to log a table with a row for each class.

    Raises:
        UserError: a k below 1; what :func:`judge` raises; not one image judged.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: tuple[int, ...] = (1, 5), per_class: bool = False, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(topk, (tuple, list)) or not all(isinstance(k, int) and k >= 1 for k in topk):
            raise UserError(f'topk is a list of whole numbers of guesses, 1 or more, e.g. (1, 5); found {topk!r}')
        self.topk, self.per_class = tuple(topk), per_class
        self.labels = self.predictions = np.empty(0, np.int64)

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep four integers of each image: its number, label, predicted label, and its label's rank."""
        self.results.extend(judge(data_batch, data_samples, self.dataset_meta))

    def compute_metrics(self, results: list[tuple[int, int, int, int]]) -> dict[str, float]:
        """The accuracies; afterwards :attr:`confusion` is that of these images."""
        if not results:
            raise UserError('not one image was judged: the data set is empty, or none of its photos can be read')
        rows = np.array(results, np.int64)
        rows = rows[np.unique(rows[:, 0], return_index=True)[1]]  # samplers fill up with images that were there before
        _, self.labels, self.predictions, ranks = rows.T
        metrics = {f'top{k}': 100 * float(np.mean(ranks < k)) for k in self.topk if k < len(self.present)}
        images = np.bincount(self.labels)
        right = np.bincount(self.labels[ranks == 0], minlength=len(images))
        metrics['mean_class'] = 100 * float(np.mean(right[images > 0] / images[images > 0]))
        if self.per_class:
            print_log('\n' + per_class_table(self.confusion, self.classes, self.present), logger='current')
        return metrics

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes, in the labels' order."""
        return self.dataset_meta['classes']

    @property
    def present(self) -> tuple[int, ...]:
        """Labels that scores are compared among."""
        return present_labels(self.dataset_meta)

    @property
    def confusion(self) -> np.ndarray:
        """Images by true (row) and predicted (column) label, (C, C) int64, of the last evaluation; main process
        only."""
        count = len(self.classes)
        return np.bincount(self.labels * count + self.predictions, minlength=count**2).reshape(count, count)


def judge(data_batch: dict, data_samples: list[dict], dataset_meta: dict | None) -> list[tuple[int, int, int, int]]:
    """What is left of a batch when its scores have been looked at.

    Args:
        data_batch: ``labels`` (B,) and ``indices`` (B,), int64, as of ``collate_labelled``.
        data_samples: B dicts with ``scores`` (C,).
        dataset_meta: ``classes``, C names; ``present``, the labels that scores are compared among (default all).

    Returns:
        For each image: its number, its label, the predicted label, and the label's rank: how many classes come before
        it, by a higher score, or by an equal one and a lower label. Rank 0 is a right prediction.

    Raises:
        UserError: no labels; a label that is not among the present classes; another number of scores than of classes;
            scores that are not finite (NaN is below nothing, so it would rank first).
    """
    if missing := [name for name in ('labels', 'indices') if name not in data_batch]:
        raise UserError(
            f'images without {" and ".join(missing)} cannot be judged (the batch has {", ".join(data_batch)}): '
            'test on a labelled data set, e.g. LabelledPhotos'
        )
    present = present_labels(dataset_meta)
    count = len(dataset_meta['classes'])
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
            f'the scores of image {broken[0]} are not finite (so of {len(broken)} in a batch of {len(indices)}): the '
            'weights '
            'are those of a training that failed, or float16 overflows; choose another checkpoint or precision'
        )
    scores = scores.masked_fill(hidden, -torch.inf)
    own = scores.gather(1, labels[:, None])
    earlier = torch.arange(count) < labels[:, None]
    ranks = ((scores > own) | (scores == own) & earlier).sum(1)
    return list(zip(indices.tolist(), labels.tolist(), scores.argmax(1).tolist(), ranks.tolist()))


def present_labels(dataset_meta: dict | None) -> tuple[int, ...]:
    """The labels that occur in a data set, by its metainfo.

    Raises:
        UserError: a data set that does not name its classes.
    """
    if not (dataset_meta or {}).get('classes'):
        raise UserError(
            'the data set has no metainfo that names its classes: test on a labelled data set, e.g. LabelledPhotos'
        )
    return tuple(dataset_meta.get('present', range(len(dataset_meta['classes']))))


def per_class_table(confusion: np.ndarray, classes: tuple[str, ...], present: tuple[int, ...]) -> str:
    """A row for each present class: name, images, top-1 in per cent, and the class that it is most often taken for.

    Args:
        confusion: (C, C) images by true (row) and predicted label.
        classes: C names.
        present: labels of the rows to show.
    """
    rows = [('class', 'images', 'top-1', 'most often taken for')]
    for label in present:
        wrong = confusion[label].copy()
        images, right, wrong[label] = wrong.sum(), wrong[label], 0
        other = wrong.argmax()
        rows.append(
            (
                classes[label],
                str(images),
                f'{100 * right / images:.1f}' if images else '-',
                f'{classes[other]} ({100 * wrong[other] / images:.1f} %)' if wrong[other] else '-',
            )
        )
    name, images, top1 = (max(len(row[column]) for row in rows) for column in range(3))
    return '\n'.join(f'{row[0]:<{name}}  {row[1]:>{images}}  {row[2]:>{top1}}  {row[3]}' for row in rows)
