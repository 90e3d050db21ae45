"""The mean corruption error, by which models are compared on ImageNet-C."""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import lru_cache

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..errors import UserError
from ..registry import METRICS
from .accuracy import judge

SEVERITIES = (1, 2, 3, 4, 5)

# AlexNet's top-1 error, mean over the severities: github.com/hendrycks/robustness, as google-research/augmix lists it.
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
    """Mean corruption error (mCE) of Hendrycks and Dietterich, 2019 (arXiv 1903.12261); lower is better, AlexNet has
    100.

    A corruption's error is the mean of its severities' top-1 errors, over AlexNet's; the mCE is the mean over the 15
    corruptions. Reports, in per cent:

    - ``imagenet_c/mce``, where all 15 are there with all five severities; else ``imagenet_c/mce_of_<N>``, the same over
    the N
      that are whole, and a warning that names what is missing;
    - ``imagenet_c/error_<corruption>``, mean top-1 error, not over AlexNet's, of each corruption that is there (the
    four extra
      ones of ImageNet-C too, which are not part of the mCE);
    - ``imagenet_c/top1``, the accuracy over all images.

    Each batch must name its images' ``groups``, as 'gaussian_noise/3'.

    Raises:
        UserError: what :func:`~mae_transfer.evaluation.accuracy.judge` raises; images without a group, or a group that
            is no corruption and severity; not one image judged.
    """

    default_prefix = 'imagenet_c'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep each image's number, its corruption and severity, and whether it was recognised."""
        if 'groups' not in data_batch:
            raise UserError(
                'images without a corruption and severity have no corruption error (the batch has '
                f'{", ".join(data_batch)}): '
                'test on a copy of ImageNet-C, with folders as gaussian_noise/3'
            )
        for group, (index, _, _, rank) in zip(
            data_batch['groups'], judge(data_batch, data_samples, self.dataset_meta), strict=True
        ):
            self.results.append((index, _corruption_and_severity(group), rank == 0))

    def compute_metrics(self, results: list[tuple[int, tuple[str, int], bool]]) -> dict[str, float]:
        """The errors, and the mCE that can be had from them."""
        if not results:
            raise UserError('not one image was judged: the data set is empty, or none of its photos can be read')
        judged = {
            index: (group, right) for index, group, right in results
        }  # what fills up the last batches was there before
        by_group = defaultdict(list)
        for group, right in judged.values():
            by_group[group].append(right)
        errors: dict[str, dict[int, float]] = defaultdict(dict)
        for (corruption, severity), rights in sorted(by_group.items()):
            errors[corruption][severity] = 1 - float(np.mean(rights))
        means = {corruption: float(np.mean(list(found.values()))) for corruption, found in errors.items()}
        whole = [corruption for corruption in ALEXNET if len(errors.get(corruption, ())) == len(SEVERITIES)]
        relative = [means[corruption] / ALEXNET[corruption] for corruption in whole]
        name = 'mce' if len(whole) == len(ALEXNET) else f'mce_of_{len(whole)}'
        if name != 'mce':
            print_log(
                f'no mCE, as ImageNet-C is not whole: {_missing(errors)}; '
                + (f'{name} is over the {len(whole)} whole corruptions' if whole else 'no corruption is whole'),
                logger='current',
                level=logging.WARNING,
            )
        metrics = {name: 100 * float(np.mean(relative))} if whole else {}
        metrics.update({f'error_{corruption}': 100 * mean for corruption, mean in means.items()})
        metrics['top1'] = 100 * float(np.mean([right for _, right in judged.values()]))
        return metrics


@lru_cache
def _corruption_and_severity(group: str) -> tuple[str, int]:
    """'fog/3' -> ('fog', 3), the same object for each image of the group."""
    corruption, _, severity = group.rpartition('/')
    if not corruption or severity not in map(str, SEVERITIES):
        raise UserError(
            f"a group of ImageNet-C is a corruption and a severity from 1 to 5, as 'fog/3'; found '{group}'"
        )
    return corruption, int(severity)


def _missing(errors: dict[str, dict[int, float]]) -> str:
    gaps = []
    for corruption in ALEXNET:
        lacking = [str(severity) for severity in SEVERITIES if severity not in errors.get(corruption, ())]
        if lacking:
            gaps.append(
                f'{corruption} is missing'
                + ('' if len(lacking) == len(SEVERITIES) else f' at severity {", ".join(lacking)}')
            )
    return ', '.join(gaps)
