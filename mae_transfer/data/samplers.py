"""The order of the samples, with a seed for each, from any place on."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, DefaultSampler, InfiniteSampler, RepeatDataset

from ..errors import UserError, is_whole
from ..registry import DATA_SAMPLERS
from .seeds import sample_seed


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler`` that yields ``(index, seed)``; the seed follows from run, epoch and index.

    Crops and masks therefore do not depend on the number of processes and workers: batch i of an epoch contains the
    same crops with the same masks on one GPU as on eight. A resumed run continues as if it had not stopped.

    Args:
        dataset: what the indices are of.
        repeats: R samples in a row have the same index and other seeds, so that a data set which keeps the photo it
            read last decodes it once for R crops (repeated augmentation, Hoffer et al. 2020). An epoch still has one
            crop for each photo: it takes a part of the photos, another one in each of R epochs.
        **kwargs: those of MMEngine's ``DefaultSampler``: ``shuffle``, ``seed``, ``round_up``.

    Raises:
        UserError: ``repeats`` below 1; a wrapper that does not pass seeds on.
    """

    def __init__(self, dataset: Any, *args: Any, repeats: int = 1, **kwargs: Any):
        super().__init__(dataset, *args, **kwargs)
        _refuse_wrapper(dataset)
        if not is_whole(repeats, 1):
            raise UserError(
                'repeats (crops_per_decode in the configs) is a number of crops of each photo in a row, 1 or more; '
                f'found {repeats!r}'
            )
        self.repeats = repeats
        self._begin = 0
        if repeats > 1:  # as many photos in each epoch and process; some are shown again for that
            photos = math.ceil(len(dataset) / repeats)
            self.num_samples = math.ceil(photos / self.world_size) * repeats
            self.total_size = self.num_samples * self.world_size

    def skip(self, num_samples: int) -> None:
        """Leave out the first samples of this process, once: the next epoch that is begun begins after them."""
        self._begin = num_samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        begin, self._begin = self._begin, 0
        keys = self._repeated() if self.repeats > 1 else ((index,) for index in super().__iter__())
        for key in islice(keys, begin, None):
            yield key[0], sample_seed(self.seed, self.epoch, *key)

    def _repeated(self) -> Iterator[tuple[int, int]]:
        """The samples of this process in an epoch: (index, which of its ``repeats`` crops)."""
        round_of_epochs, part = divmod(self.epoch, self.repeats)
        order = torch.arange(len(self.dataset))
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + round_of_epochs)
            order = torch.randperm(len(order), generator=generator)
        photos = self.total_size // self.repeats
        begin = part * math.ceil(len(order) / self.repeats)
        places = torch.arange(begin, begin + photos) % len(order)
        for index in order[places[self.rank :: self.world_size]].tolist():
            yield from ((index, number) for number in range(self.repeats))


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(InfiniteSampler):
    """MMEngine's ``InfiniteSampler``, in the same order, that yields ``(index, seed)``; the seed follows from the run
    and the place in the endless order."""

    def __init__(self, dataset: Any, *args: Any, **kwargs: Any):
        super().__init__(dataset, *args, **kwargs)
        _refuse_wrapper(dataset)

    def _indices_of_rank(self, begin: int = 0) -> Iterator[tuple[int, int]]:  # MMEngine's, which divides the order
        places = range(self.rank + begin * self.world_size, sys.maxsize, self.world_size)
        indices = islice(self._infinite_indices(), places.start, None, self.world_size)
        for place, index in zip(places, indices):
            yield index, sample_seed(self.seed, place)

    def skip(self, num_samples: int) -> None:
        """Begin after the first ``num_samples`` of this process, counted from the start of the run."""
        self.indices = self._indices_of_rank(num_samples)


def _refuse_wrapper(dataset: Any) -> None:
    """Raise ``UserError`` for a wrapper of MMEngine's, which passes no seeds on."""
    if isinstance(dataset, (ClassBalancedDataset, ConcatDataset, RepeatDataset)):
        name = type(dataset).__name__
        raise UserError(f"MMEngine's {name} does not pass on the seeds of items: choose type='mae_transfer.{name}'")
