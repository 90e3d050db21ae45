"""Comparison of the weights in a file with those of a model."""

import torch

from mae_transfer.vit.weights.comparison import Comparison, compare_states


def test_names_and_shapes_are_compared():
    found = dict(same=torch.ones(2), other=torch.ones(2, 1), extra=torch.ones(1))
    wanted = dict(missing=torch.zeros(1), other=torch.zeros(2), same=torch.zeros(2))
    assert compare_states(found, wanted) == Comparison(missing=['missing'], unexpected=['extra'], reshaped=['other'])
    assert compare_states(wanted, wanted) == Comparison([], [], [])
