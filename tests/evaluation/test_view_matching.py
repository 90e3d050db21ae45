"""Views of held-out photos, told apart among all of them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mae_transfer.errors import UserError
from mae_transfer.evaluation import ViewMatching, view_matching


def samples(queries: torch.Tensor, keys: torch.Tensor) -> list[dict]:
    return [dict(queries=q, keys=k) for q, k in zip(queries, keys)]


def evaluated(queries: torch.Tensor, keys: torch.Tensor, *batches: int, **settings) -> dict:
    metric = ViewMatching(**settings)
    for part in samples_of(queries, keys, batches or (len(queries),)):
        metric.process({}, part)
    return metric.evaluate(len(queries))


def samples_of(queries, keys, batches):
    return [samples(*part) for part in zip(queries.split(list(batches)), keys.split(list(batches)))]


@pytest.mark.parametrize('batches', [(10,), (3, 3, 4)])
@pytest.mark.parametrize('at_once', [512, 4])
def test_the_loss_is_that_of_all_photos_in_whatever_batches(batches, at_once, monkeypatch):
    monkeypatch.setattr(view_matching, '_AT_ONCE', at_once)
    queries, keys = (F.normalize(torch.randn(10, 2, 8), dim=-1) for _ in range(2))
    expected = sum(
        0.4 * F.cross_entropy(queries[:, view] @ keys[:, 1 - view].T / 0.2, torch.arange(10)).item() for view in (0, 1)
    )
    found = evaluated(queries, keys, *batches)
    assert found['views/loss'] == pytest.approx(expected, rel=1e-5)


def test_the_accuracy_counts_queries_that_find_the_other_view():
    unit = torch.eye(8)
    queries, keys = torch.stack([unit, unit.roll(1, 0)], 1), torch.stack([unit.roll(1, 0), unit], 1)
    assert evaluated(queries, keys)['views/accuracy'] == 1
    assert evaluated(queries, keys.flip(1))['views/accuracy'] == 0
    keys[:4, 0] = unit[7]  # four second views have lost their keys, of which one is still right by chance
    assert 0.5 < evaluated(queries, keys)['views/accuracy'] < 1


def test_what_says_nothing_is_an_error():
    with pytest.raises(UserError, match='no image was evaluated'):
        ViewMatching().compute_metrics([])
    with pytest.raises(UserError, match='loss of the views of .* is not finite'):
        evaluated(torch.full((2, 2, 4), math.nan), torch.ones(2, 2, 4))
    with pytest.raises(UserError, match='temperature is a number above 0; found 0'):
        ViewMatching(0)
