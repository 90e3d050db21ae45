"""MMEngine's data set wrappers for data sets whose items are requested by (index, seed).

They have the names of MMEngine's wrappers and replace them in configs with ``default_scope = 'mae_transfer'``, and
where a ``data_root`` is a list or ``repeat`` is set.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from torch.utils.data import Dataset

from ...errors import UserError, is_whole
from ...registry import DATASETS
from .image_dataset import Key


class _Wrapper(Dataset):
    """Base of the wrappers: :meth:`locate` says which item of which wrapped data set an item is."""

    metainfo: dict[str, Any]

    def full_init(self) -> None:
        """Do nothing: the wrapped data sets are complete. MMEngine's wrappers call it."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of items."""

    @abstractmethod
    def locate(self, index: int) -> tuple[Any, int]:
        """The data set that contains item ``index`` of the wrapper, and the index of the item in that data set."""

    def check_readable(self) -> None:
        """See :class:`~mae_transfer.data.photos.image_dataset.ImageDataset`."""
        for dataset in self.inner():
            if hasattr(dataset, 'check_readable'):
                dataset.check_readable()

    def inner(self) -> Sequence[Any]:
        """The wrapped data sets."""
        return [self.locate(0)[0]]

    def index_of(self, read: int, index: int, inner: int) -> int:
        """The wrapper's index of the item that was read instead of an unreadable one.

        Args:
            read: index in the wrapped data set of the item that was read.
            index: the wrapper's index of the item that was requested.
            inner: index in the wrapped data set of the item that was requested.
        """
        return index - inner + read

    def get_cat_ids(self, index: int) -> list[int]:
        """The labels of an image."""
        dataset, inner = self.locate(index)
        return dataset.get_cat_ids(inner)

    def get_data_info(self, index: int) -> dict[str, Any]:
        """What a data set of MMEngine's knows of an item before it is read."""
        dataset, inner = self.locate(index)
        return dataset.get_data_info(inner)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        index, seed = key if isinstance(key, tuple) else (key, None)
        if not 0 <= index < len(self):
            raise IndexError(index)
        dataset, inner = self.locate(index)
        item = dataset[inner if seed is None else (inner, seed)]
        read = item.get('indices')
        if read is None:
            return item
        return dict(item, indices=index if read == inner else self.index_of(read, index, inner))


def _build(dataset: Any) -> Any:
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset


@DATASETS.register_module()
class ConcatDataset(_Wrapper):
    """Several data sets one after the other, such as two folders of photos.

    Args:
        datasets: data sets, or their configs. All must have the same classes; a class is ``present`` if it is present
            in at least one of them.

    Raises:
        UserError: no data set; data sets with different classes.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = [_build(dataset) for dataset in datasets]
        if not self.datasets:
            raise UserError('ConcatDataset needs at least one data set: give datasets=[...], or data_root=[a,b]')
        first, *others = (dataset.metainfo for dataset in self.datasets)
        for number, other in enumerate(others, 2):
            if other.get('classes') != first.get('classes'):
                unshared = sorted(set(first.get('classes') or ()) ^ set(other.get('classes') or ()))
                difference = 'the same in another order'
                if unshared:
                    difference = f'{len(unshared)} are only in one of them, e.g. {unshared[0]}'
                raise UserError(
                    f'data set {number} of {len(self.datasets)} has other classes than the first ({difference}): give '
                    'all data sets the same classes=...'
                )
        self.metainfo = dict(first)
        if 'present' in first:
            every = range(len(first['classes']))
            present = {label for info in (first, *others) for label in info.get('present', every)}
            self.metainfo['present'] = tuple(sorted(present))
        self.ends = list(accumulate(map(len, self.datasets)))  # one past the last index of each data set

    def __len__(self) -> int:
        return self.ends[-1]

    def inner(self) -> Sequence[Any]:
        """See the base class."""
        return self.datasets

    def locate(self, index: int) -> tuple[Any, int]:
        """See the base class."""
        place = bisect_right(self.ends, index)
        return self.datasets[place], index - (self.ends[place - 1] if place else 0)


@DATASETS.register_module()
class RepeatDataset(_Wrapper):
    """A data set ``times`` times in each epoch: fewer and longer epochs of a small data set, with a new seed each time.

    Raises:
        UserError: ``times`` is not a whole number, 1 or more.
    """

    def __init__(self, dataset: Any, times: int) -> None:
        if not is_whole(times, 1):
            raise UserError(f'RepeatDataset.times is a whole number, 1 or more; found {times}')
        self.dataset, self.times = _build(dataset), times
        self.metainfo = self.dataset.metainfo

    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def locate(self, index: int) -> tuple[Any, int]:
        """See the base class."""
        return self.dataset, index % len(self.dataset)


@DATASETS.register_module()
class ClassBalancedDataset(_Wrapper):
    """A data set that repeats images of rare classes in each epoch (LVIS, arXiv 1908.03195, section 6).

    An image occurs ``ceil(max(1, sqrt(oversample_thr / f)))`` times, where f is the share of the images that have its
    rarest class.

    Raises:
        UserError: ``oversample_thr`` is not above 0; images without labels.
    """

    def __init__(self, dataset: Any, oversample_thr: float) -> None:
        if not oversample_thr > 0:
            raise UserError(
                f'ClassBalancedDataset.oversample_thr is a share of the images above 0; found {oversample_thr}'
            )
        self.dataset = _build(dataset)
        self.metainfo = self.dataset.metainfo
        labels = [set(self.dataset.get_cat_ids(inner)) for inner in range(len(self.dataset))]
        counts = Counter(label for own in labels for label in own)  # images of each class
        self.inner_indices = array('q')  # sorted; worker processes share it
        for inner, own in enumerate(labels):
            rarest = min((counts[label] for label in own), default=0)
            self.inner_indices.extend([inner] * _repeats(oversample_thr * len(labels), rarest))

    def __len__(self) -> int:
        return len(self.inner_indices)

    def locate(self, index: int) -> tuple[Any, int]:
        """See the base class."""
        return self.dataset, self.inner_indices[index]

    def index_of(self, read: int, index: int, inner: int) -> int:
        """See the base class; of the repetitions of the image that was read, the first."""
        return bisect_left(self.inner_indices, read)


def _repeats(threshold: float, count: int) -> int:
    return math.ceil(max(1.0, math.sqrt(threshold / count))) if count else 1
