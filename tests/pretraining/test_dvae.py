"""The discrete VAE: losses, noise, tokens and images."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.pretraining import DVAE

UNIT = dict(type='PhotoPreprocessor', mean=(0, 0, 0), std=(255, 255, 255))


def small(**changes) -> DVAE:
    torch.manual_seed(0)
    return DVAE(**dict(dict(vocab_size=24, width=16, code_dim=8, num_blocks=1, stride=4), **changes))


def squares(count: int = 4, side: int = 16, square: int = 4) -> torch.Tensor:
    """Images made of squares, each in one of eight colours."""
    corners = torch.tensor([[r, g, b] for r in (0.1, 0.9) for g in (0.1, 0.9) for b in (0.1, 0.9)])
    chosen = torch.randint(8, (count, side // square, side // square), generator=torch.Generator().manual_seed(1))
    return corners[chosen].movedim(-1, 1).repeat_interleave(square, 2).repeat_interleave(square, 3)


def test_training_lowers_the_loss_and_uses_several_tokens():
    model, images, seeds, steps = small(), squares(), torch.arange(4), 120
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = sum(sample['error'] for sample in model(images, mode='predict')) / 4
    for step in range(steps):
        model.temperature = max(1 / 16, 1 - step / steps)
        losses = model(images, seeds + 4 * step)
        optimizer.zero_grad()
        (losses['loss_pixels'] + losses['loss_kl']).backward()
        optimizer.step()
    samples = model(images, mode='predict')
    assert sum(sample['error'] for sample in samples) / 4 < 0.15 * before
    assert len(torch.stack([sample['tokens'] for sample in samples]).unique()) >= 6


@pytest.mark.parametrize('stride, size', [(2, (8, 6)), (4, (16, 24)), (8, (8, 40))])
@pytest.mark.parametrize('channels', [1, 3])
def test_tokens_and_pictures_have_the_grid_of_the_stride(stride, size, channels):
    model, images = small(stride=stride, channels=channels), torch.rand(2, channels, *size)
    tokens = model.tokens(images)
    assert tokens.shape == (2, size[0] // stride, size[1] // stride) and tokens.dtype == torch.int64
    picture = model.decode(tokens)
    assert picture.shape == images.shape and 0 <= picture.min() and picture.max() <= 1
    assert torch.equal(model(images, mode='tensor'), picture)


def test_every_parameter_learns():
    model = small()
    losses = model(squares(), torch.arange(4))
    (losses['loss_pixels'] + losses['loss_kl']).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


def with_logits(logits: torch.Tensor, **changes) -> DVAE:
    """A DVAE whose encoder returns the same logits everywhere."""
    model = small(vocab_size=len(logits), **changes)
    model.encoder[-1].weight.data.zero_()
    model.encoder[-1].bias.data.copy_(logits)
    return model


@pytest.mark.parametrize('probabilities', [[0.25] * 4, [0.7, 0.1, 0.1, 0.1], [1 - 3e-9, 1e-9, 1e-9, 1e-9]])
def test_kl_is_the_divergence_from_the_uniform_distribution_in_nats_per_token(probabilities):
    model = with_logits(torch.tensor(probabilities).log(), kl_weight=0.5)
    model.kl_share = 0.1
    losses = model(squares(), torch.arange(4))
    expected = sum(p * math.log(4 * p) for p in probabilities)
    assert losses['kl'].item() == pytest.approx(expected, abs=1e-5)
    assert losses['loss_kl'].item() == pytest.approx(0.05 * expected, abs=1e-6)


@pytest.mark.parametrize('seeds', [torch.arange(512), None])
def test_at_low_temperature_tokens_are_drawn_with_their_probabilities(seeds):
    """At temperature zero a Gumbel-softmax sample is one token, drawn from the softmax of the logits."""
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    model = with_logits(probabilities.log())
    model.temperature, drawn = 1e-4, []
    model._decode = lambda weights: drawn.append(weights) or torch.zeros(len(weights), 3, 16, 16)
    model(torch.rand(512, 3, 16, 16), seeds)
    weights = drawn[0].movedim(1, -1).flatten(0, 2)
    assert_close(weights.mean(dim=0), probabilities, rtol=0, atol=0.02)  # 8192 draws
    assert (weights.max(dim=1).values > 0.99).float().mean() > 0.99


def test_at_high_temperature_a_sample_mixes_tokens():
    model, drawn = with_logits(torch.zeros(4)), []
    model.temperature = 100.0
    model._decode = lambda weights: drawn.append(weights) or torch.zeros(len(weights), 3, 16, 16)
    model(squares(), torch.arange(4))
    assert_close(drawn[0], torch.full_like(drawn[0], 0.25), rtol=0, atol=0.1)


def test_the_noise_of_an_image_follows_from_its_seed_alone():
    model, images, seeds = small(), torch.rand(4, 3, 16, 16), torch.tensor([5, 6, 7, 2**62])
    whole = model(images, seeds)['loss_pixels']
    parts = [model(images[i : i + 1], seeds[i : i + 1])['loss_pixels'] for i in range(4)]
    assert_close(whole, torch.stack(parts).mean())
    assert not torch.allclose(whole, model(images, seeds + 1)['loss_pixels'])


def test_the_losses_are_float32_under_autocast():
    with torch.autocast('cpu', torch.bfloat16):
        losses = small()(squares(), torch.arange(4))
    assert losses['loss_pixels'].dtype == losses['loss_kl'].dtype == torch.float32


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(stride=6), 'stride must be a power of two, 2 or more; found 6'),
        (dict(stride=1), 'stride must be a power of two, 2 or more; found 1'),
        (dict(vocab_size=1), 'vocab_size must be 2 or more; found 1'),
        (
            dict(data_preprocessor=dict(type='PhotoPreprocessor')),
            'takes images in .0, 1.: set data_preprocessor.mean to zeros',
        ),
        (
            dict(data_preprocessor=dict(UNIT, std=(1, 1, 1))),
            r'data_preprocessor.std to 255s; found mean .* std \[1.0, 1.0, 1.0\]',
        ),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        small(**settings)


@pytest.mark.parametrize('shape', [(3, 15, 16), (3, 16, 18), (1, 16, 16)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(
        UserError, match=f'images of 3 channels and sides that are multiples of its stride 4; found {shape[0]} x'
    ):
        small().tokens(torch.zeros(1, *shape))


def test_the_preprocessor_returns_images_from_zero_to_one():
    model = small(data_preprocessor=UNIT)
    data = model.data_preprocessor(
        dict(inputs=torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2))
    )
    assert_close(data['inputs'][0, :, 0], torch.tensor([[0.0, 1.0]] * 3))
