"""RankMe of features whose effective rank is known."""

from __future__ import annotations

import math

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.evaluation.rank_me import rank_me


def orthogonal(count: int, width: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.linalg.qr(torch.randn(count, width)).Q


@pytest.mark.parametrize('rank', [1, 2, 5, 16])
def test_equal_singular_values_give_their_number(rank):
    features = orthogonal(40, rank) @ orthogonal(16, rank).T
    assert rank_me(features) == pytest.approx(rank, rel=1e-3)


def test_it_is_the_exponential_of_the_entropy_of_the_shares():
    values = torch.tensor([4.0, 2.0, 1.0, 1.0])
    features = orthogonal(30, 4) * values @ orthogonal(8, 4).T
    entropy = 0.5 * math.log(2) + 0.25 * math.log(4) + 2 * 0.125 * math.log(8)
    assert rank_me(features) == pytest.approx(math.exp(entropy), rel=1e-3)


def test_scale_and_order_of_photos_do_not_matter_and_it_lies_between_one_and_the_width():
    torch.manual_seed(0)
    features = torch.randn(50, 12) * torch.linspace(0.1, 2, 12)
    value = rank_me(features)
    assert 1 < value < 12
    assert rank_me(7 * features) == pytest.approx(value, rel=1e-9)
    assert rank_me(features[torch.randperm(50)]) == pytest.approx(value, rel=1e-9)
    assert rank_me(features @ orthogonal(12, 12)) == pytest.approx(value, rel=1e-4)


def test_a_large_common_part_lowers_it_because_nothing_is_centred():
    torch.manual_seed(0)
    features = torch.randn(50, 12)
    assert rank_me(features + 100) < 0.5 * rank_me(features)


def test_features_as_they_are_stored_have_nearly_the_same():
    torch.manual_seed(0)
    features = torch.randn(50, 12)
    assert rank_me(features.half()) == pytest.approx(rank_me(features), rel=1e-3)


@pytest.mark.parametrize(
    'features', [torch.zeros(4, 3), torch.empty(0, 3), torch.full((2, 3), torch.nan), torch.full((2, 3), torch.inf)]
)
def test_what_has_no_rank_is_one_line(features):
    with pytest.raises(UserError, match='^RankMe .*is the training broken') as caught:
        rank_me(features)
    assert '\n' not in str(caught.value)
