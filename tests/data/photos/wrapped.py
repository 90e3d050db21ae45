"""Wrappers around data sets of every kind, and where their items come from."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.data import ConcatDataset, ImageDataset, RepeatDataset, collate_labelled, collate_photos
from mae_transfer.data.photos.loaders import dataset_settings
from mae_transfer.registry import DATASETS

#: One of each kind of data set, without its folder, and the function that collates its items.
KINDS = {
    'photos': (dict(type='Photos', img_size=8), collate_photos),
    'photos for validation': (dict(type='Photos', split='val', img_size=8), collate_photos),
    'labelled': (dict(type='LabelledPhotos', img_size=8, transform=dict(type='ProbeCrop')), collate_labelled),
    'labelled for validation': (dict(type='LabelledPhotos', split='val', img_size=8), collate_labelled),
    'corrupted': (dict(type='ImageNetC', corruptions=('fog',), classes=None, img_size=8), collate_labelled),
}
every_kind = pytest.mark.parametrize('kind', KINDS)


def parts_of(kind: str, roots: list[str]) -> list[ImageDataset]:
    return [DATASETS.build(dict(KINDS[kind][0], data_root=root)) for root in roots]


def wrapped(kind: str, roots: list[str], wrapper: str) -> tuple[torch.utils.data.Dataset, list]:
    """A wrapper around data sets of a kind, and for each of its items the data set and the index in it."""
    settings = dict(KINDS[kind][0], data_root=roots[0])
    one, *_ = parts = parts_of(kind, roots)
    inner = [(one, index) for index in range(len(one))]
    both = [(part, index) for part in parts for index in range(len(part))]
    return {
        'list of roots': lambda: (DATASETS.build(dataset_settings(dict(settings, data_root=roots))), both),
        'ConcatDataset': lambda: (ConcatDataset(parts), both),
        'RepeatDataset': lambda: (DATASETS.build(dict(type='RepeatDataset', times=3, dataset=settings)), inner * 3),
        'ClassBalancedDataset': lambda: (
            DATASETS.build(dict(type='ClassBalancedDataset', oversample_thr=4 / 3 - 1e-6, dataset=settings)),
            [item for item in inner for _ in range(2)],  # three classes, of a third of the images each
        ),
        'nested': lambda: (RepeatDataset(ConcatDataset(parts), times=2), both * 2),
    }[wrapper]()


WRAPPERS = ['list of roots', 'ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset', 'nested']
WRAPPED = [
    (kind, wrapper)
    for kind in KINDS
    for wrapper in WRAPPERS
    if not (wrapper == 'ClassBalancedDataset' and kind.startswith('photos'))  # which have no labels
]
every_wrapper = pytest.mark.parametrize('kind, wrapper', WRAPPED, ids=[' in '.join(pair) for pair in WRAPPED])
