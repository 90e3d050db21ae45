"""Measuring that leaves a training as it is."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from mae_transfer.learning.undisturbed import undisturbed


def draw() -> tuple:
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


@pytest.mark.parametrize('fails', [False, True])
def test_generators_and_modes_return_also_after_an_error(fails):
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    model[1].eval()
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    expected = draw()
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    try:
        with undisturbed(model):
            assert draw() == expected
            model.eval()
            model[1].train()
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert draw() == expected
    assert [module.training for module in model.modules()] == [True, True, False, False]
