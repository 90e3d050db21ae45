"""The order of an epoch's samples, with a seed for each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler

from ...registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler`` that yields ``(index, seed)``; the seed follows from run, epoch and index.

    Crops and masks therefore do not depend on the number of processes and workers: batch i of an epoch contains the
    same crops with the same masks on one GPU as on eight. A resumed run continues as if it had not stopped.
    """

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for index in super().__iter__():
            yield index, sample_seed(self.seed, self.epoch, index)


def sample_seed(*key: int) -> int:
    """A well-mixed 63-bit seed from a tuple of non-negative integers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
