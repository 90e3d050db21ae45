"""Settings of data loaders in a config, completed for PyTorch and MMEngine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def loader_settings(settings: Mapping[str, Any]) -> dict:
    """The settings of a data loader that MMEngine can build.

    A data set whose ``data_root`` is a list becomes a concatenation of data sets, one for each root. Without workers,
    ``persistent_workers`` and ``prefetch_factor``, which PyTorch would refuse, are removed. With ``repeat`` an epoch is
    that many passes over the data.
    """
    settings = dict(settings)
    if isinstance(settings.get('dataset'), Mapping):
        settings['dataset'] = dataset_settings(settings['dataset'])
    if (times := settings.pop('repeat', 1)) != 1:
        settings['dataset'] = dict(type='RepeatDataset', dataset=settings['dataset'], times=times)
    if not settings.get('num_workers'):
        for key in ('persistent_workers', 'prefetch_factor'):
            settings.pop(key, None)
    return settings


def dataset_settings(settings: Mapping[str, Any]) -> dict:
    """The settings of a data set, where a list of ``data_root``, also inside wrappers, becomes a ``ConcatDataset``."""
    settings = dict(settings)
    if isinstance(settings.get('dataset'), Mapping):
        return dict(settings, dataset=dataset_settings(settings['dataset']))
    if 'datasets' in settings:
        return dict(settings, datasets=[dataset_settings(part) for part in settings['datasets']])
    roots = settings.get('data_root')
    if not isinstance(roots, (list, tuple)):
        return settings
    return dict(type='ConcatDataset', datasets=[dict(settings, data_root=root) for root in roots])
