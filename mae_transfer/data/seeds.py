"""Seeds of items and steps, and random generators that start from one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

#: Sets the seeds of steps apart from those of items.
_OF_STEPS = 0x57E9


def sample_seed(*key: int) -> int:
    """A well-mixed 63-bit seed from a tuple of non-negative integers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def seed_step(run: int, iteration: int, process: int) -> None:
    """Seed Python's, NumPy's and torch's generators, those of all GPUs too, for one forward pass of a process.

    What is random in it, such as drop path, mixing and the choice of proposals, then depends on nothing before it.
    """
    seed = sample_seed(_OF_STEPS, run, iteration, process)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's (CPU) generators inside the block, and restore their states after it."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch_seeded(seed):
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Like :func:`seeded`, but only for torch's generator, which torchvision's transforms draw from; faster."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the GPU's generator
        yield
