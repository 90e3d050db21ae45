"""Measuring in the middle of a training without changing it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run what is within, then restore the states of all generators and whether each module of the model trains.

    Generators: those of Python, NumPy and PyTorch, of this process and all its devices. A data loader draws the seed of
    its workers from PyTorch's, even where its items are not random.
    """
    training = {module: module.training for module in model.modules()}
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        for module, mode in training.items():
            module.training = mode
