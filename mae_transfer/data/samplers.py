"""The order of the samples, with a seed for each, from any place on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.dataset import ClassBalancedDataset, ConcatDataset, DefaultSampler, InfiniteSampler, RepeatDataset

from ..errors import UserError
from ..registry import DATA_SAMPLERS
from .seeds import sample_seed


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler`` that yields ``(index, seed)``; the seed follows from run, epoch and index.

    Crops and masks therefore do not depend on the number of processes and workers: batch i of an epoch contains the
    same crops with the same masks on one GPU as on eight. A resumed run continues as if it had not stopped.
    """

    def __init__(self, dataset: Any, *args: Any, **kwargs: Any):
        super().__init__(dataset, *args, **kwargs)
        _refuse_wrapper(dataset)
        self._begin = 0

    def skip(self, num_samples: int) -> None:
        """Leave out the first samples of this process, once: the next epoch that is begun begins after them."""
        self._begin = num_samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        begin, self._begin = self._begin, 0
        for index in islice(super().__iter__(), begin, None):
            yield index, sample_seed(self.seed, self.epoch, index)


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
