"""The mean corruption error, which compares models on ImageNet-C."""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import lru_cache

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..errors import UserError
from ..registry import METRICS
from .accuracy import rank_labels

SEVERITIES = (1, 2, 3, 4, 5)

# AlexNet's top-1 error, the mean over the severities: github.com/hendrycks/robustness, as listed in
# google-research/augmix.
ALEXNET = dict(
    gaussian_noise=0.886428,
    shot_noise=0.894468,
    impulse_noise=0.922640,
    defocus_blur=0.819880,
    glass_blur=0.826268,
    motion_blur=0.785948,
    zoom_blur=0.798360,
    snow=0.866816,
    frost=0.826572,
    fog=0.819324,
    brightness=0.564592,
    contrast=0.853204,
    elastic_transform=0.646056,
    pixelate=0.717840,
    jpeg_compression=0.606500,
)


@METRICS.register_module()
class CorruptionError(BaseMetric):
    """Mean corruption error (mCE) of Hendrycks and Dietterich, 2019 (arXiv 1903.12261).

    The error of a corruption is the mean top-1 error over its severities, divided by AlexNet's; the mCE is the mean
    over the 15 corruptions. Lower is better; AlexNet has 100. Reports, in per cent:

    - ``imagenet_c/mce``, if the data set contains all 15 corruptions with all five severities; otherwise
      ``imagenet_c/mce_of_<N>``, the mean over the N complete corruptions, with a warning that names what is missing;
    - ``imagenet_c/error_<corruption>``, the mean top-1 error of each corruption, not divided by AlexNet's; also for the
      four extra corruptions of ImageNet-C, which are not part of the mCE;
    - ``imagenet_c/top1``, the accuracy over all images.

    Each batch must contain ``groups``, the corruption and severity of each image, e.g. 'gaussian_noise/3'.

    Raises:
        UserError: what :func:`~mae_transfer.evaluation.accuracy.rank_labels` raises; images without a group, or a group
            that is not a corruption and a severity; no image was evaluated.
    """

    default_prefix = 'imagenet_c'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep each image's index, its corruption and severity, and whether the prediction is correct."""
        if 'groups' not in data_batch:
            raise UserError(
                'the images have no corruption and severity, which the corruption error needs (the batch has '
                f'{", ".join(data_batch)}): test on ImageNet-C, with folders such as gaussian_noise/3'
            )
        ranked = rank_labels(data_batch, data_samples, self.dataset_meta)
        for group, (index, _, _, rank) in zip(data_batch['groups'], ranked, strict=True):
            self.results.append((index, _corruption_and_severity(group), rank == 0))

    def compute_metrics(self, results: list[tuple[int, tuple[str, int], bool]]) -> dict[str, float]:
        """Compute the errors, and the mCE over the complete corruptions."""
        if not results:
            raise UserError('no image was evaluated: the data set is empty, or none of its images can be read')
        # By index, because samplers repeat images to fill up the last batches.
        evaluated = {index: (group, correct) for index, group, correct in results}
        by_group: dict[tuple[str, int], list[bool]] = defaultdict(list)
        for group, correct in evaluated.values():
            by_group[group].append(correct)
        errors: dict[str, dict[int, float]] = defaultdict(dict)
        for (corruption, severity), corrects in sorted(by_group.items()):
            errors[corruption][severity] = 1 - float(np.mean(corrects))
        means = {corruption: float(np.mean(list(found.values()))) for corruption, found in errors.items()}
        complete = [corruption for corruption in ALEXNET if len(errors.get(corruption, ())) == len(SEVERITIES)]
        relative = [means[corruption] / ALEXNET[corruption] for corruption in complete]
        name = 'mce' if len(complete) == len(ALEXNET) else f'mce_of_{len(complete)}'
        if name != 'mce':
            instead = f'{name} is over the {len(complete)} complete corruptions'
            if not complete:
                instead = 'no corruption is complete'
            print_log(
                f'no mCE, because ImageNet-C is incomplete: {_missing(errors)}; {instead}',
                logger='current',
                level=logging.WARNING,
            )
        metrics = {name: 100 * float(np.mean(relative))} if complete else {}
        metrics.update({f'error_{corruption}': 100 * mean for corruption, mean in means.items()})
        metrics['top1'] = 100 * float(np.mean([correct for _, correct in evaluated.values()]))
        return metrics


@lru_cache
def _corruption_and_severity(group: str) -> tuple[str, int]:
    """'fog/3' -> ('fog', 3); cached, so that all images of a group share one tuple."""
    corruption, _, severity = group.rpartition('/')
    if not corruption or severity not in map(str, SEVERITIES):
        raise UserError(
            f"a group of ImageNet-C is a corruption and a severity from 1 to 5, e.g. 'fog/3'; found '{group}'"
        )
    return corruption, int(severity)


def _missing(errors: dict[str, dict[int, float]]) -> str:
    gaps = []
    for corruption in ALEXNET:
        severities = [str(severity) for severity in SEVERITIES if severity not in errors.get(corruption, ())]
        if len(severities) == len(SEVERITIES):
            gaps.append(f'{corruption} is missing')
        elif severities:
            gaps.append(f'{corruption} is missing at severity {", ".join(severities)}')
    return ', '.join(gaps)
