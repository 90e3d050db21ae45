"""Temperature and KL weight of a discrete VAE during training."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from mae_transfer.errors import UserError
from mae_transfer.hooks import AnnealingHook


def set_by(hook: AnnealingHook, iteration: int, of: int = 100):
    """A model with the values that the hook sets before an iteration."""
    runner = Mock(model=Mock(spec=['temperature', 'kl_share']), iter=iteration, max_iters=of)
    hook.before_train_iter(runner, 0)
    return runner.model


@pytest.mark.parametrize('iteration, temperature', [(0, 1.0), (25, (1 + 1 / 16) / 2), (50, 1 / 16), (99, 1 / 16)])
def test_the_temperature_falls_by_half_a_cosine_and_stays(iteration, temperature):
    assert set_by(AnnealingHook(share=0.5), iteration).temperature == pytest.approx(temperature)


def test_the_temperature_falls_slowly_at_the_beginning_and_at_the_end():
    values = [set_by(AnnealingHook(share=1.0), i).temperature for i in range(100)]
    steps = [early - late for early, late in zip(values, values[1:])]
    assert min(steps) > 0 and max(steps) == pytest.approx(max(steps[45:55])) and steps[0] < 0.1 * max(steps) > steps[-1]


@pytest.mark.parametrize('iteration, share', [(0, 0.0), (5, 0.25), (20, 1.0), (99, 1.0)])
def test_the_kl_weight_rises_linearly(iteration, share):
    assert set_by(AnnealingHook(kl_share=0.2), iteration).kl_share == pytest.approx(share)


def test_the_kl_term_can_have_its_full_weight_from_the_beginning():
    assert set_by(AnnealingHook(kl_share=0), 0).kl_share == 1


@pytest.mark.parametrize(
    'settings', [dict(end=0), dict(start=0.01), dict(share=0), dict(share=1.1), dict(kl_share=-0.1), dict(kl_share=2)]
)
def test_impossible_settings_are_refused(settings):
    [(name, value)] = settings.items()
    with pytest.raises(UserError, match=f'AnnealingHook takes .*{name}={value}'):
        AnnealingHook(**settings)
