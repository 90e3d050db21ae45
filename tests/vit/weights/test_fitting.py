"""A patch embedding for another number of channels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.vit.weights.checkpoint import CheckpointError, load_vit, read_weights
from mae_transfer.vit.weights.fitting import describe_inflation, inflate_channels
from mae_transfer.vit.weights.layouts import LAYOUTS, from_canonical
from tests.pretraining.test_mae import small_mae
from tests.vit.weights.test_checkpoint import copy_of, randomize, small_vit, unchanged


def embedding(vit: torch.nn.Module, grey: torch.Tensor) -> torch.Tensor:
    """The patch embedding of grey images (B, 1, H, W) whose value is in each channel."""
    return vit.patch_embed(grey.expand(-1, vit.in_channels, -1, -1))


@settings(deadline=None, max_examples=40)
@given(old=st.integers(1, 16), new=st.integers(1, 16))
def test_images_of_equal_channels_keep_their_embedding(old, new):
    weight, grey = torch.randn(6, old, 4, 4).double(), torch.randn(2, 1, 8, 8).double()
    inflated = inflate_channels(weight, new)
    assert inflated.shape == (6, new, 4, 4) and (inflated is weight) == (old == new)
    found, expected = (
        torch.nn.functional.conv2d(grey.expand(-1, part.shape[1], -1, -1), part, stride=4)
        for part in (inflated, weight)
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_one_channel_gets_the_sum_over_rgb_exactly():
    weight = torch.randint(-8, 9, (4, 3, 2, 2)).float()
    assert torch.equal(inflate_channels(weight, 1), weight.sum(1, keepdim=True))
    grey = torch.randint(0, 256, (1, 1, 2, 2)).float()
    found, expected = (
        torch.nn.functional.conv2d(grey.expand(-1, part.shape[1], -1, -1), part)
        for part in (inflate_channels(weight, 1), weight)
    )
    assert torch.equal(found, expected)


def test_every_channel_gets_the_mean_times_the_ratio():
    weight = torch.randn(4, 3, 2, 2)
    inflated = inflate_channels(weight, 13)
    torch.testing.assert_close(inflated[:, 5], weight.mean(1) * 3 / 13)
    assert all(torch.equal(inflated[:, channel], inflated[:, 0]) for channel in range(13))
    assert inflate_channels(weight.half(), 13).dtype == torch.half


@pytest.mark.parametrize(
    'old, new, words',
    [
        (3, 13, 'inflated from 3 to 13 channels (mean over RGB, times 3/13)'),
        (3, 1, 'inflated from 3 to 1 channel (mean over RGB, times 3/1)'),
        (4, 3, 'inflated from 4 to 3 channels (mean over its 4 channels, times 4/3)'),
        (1, 3, 'inflated from 1 to 3 channels (mean over its only channel, times 1/3)'),
    ],
)
def test_the_report_says_what_was_done(old, new, words):
    assert describe_inflation(old, new) == words


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('channels', [1, 4, 13])
def test_rgb_weights_of_every_layout_load_into_a_vit_of_other_channels(layout, channels):
    model = randomize(small_mae())
    weights = read_weights(model.state_dict())
    state = from_canonical(weights.encoder, None if layout == 'timm' else weights.decoder, layout)
    vit = small_vit(in_channels=channels)
    report = load_vit(vit, state)
    assert report.inflated == {'patch_embed.proj.weight': describe_inflation(3, channels)} and not report.resized
    assert f'  patch_embed.proj.weight: inflated from 3 to {channels} channel' in str(report)
    grey = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(embedding(vit, grey), embedding(model.vit, grey), rtol=1e-4, atol=1e-4)
    images = grey.expand(-1, channels, -1, -1)
    torch.testing.assert_close(vit.tokens(images), model.vit.tokens(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_the_log_warns(monkeypatch):
    logged = []
    monkeypatch.setattr(
        'mae_transfer.vit.weights.checkpoint.print_log', lambda text, logger, level: logged.append(level)
    )
    for channels in (3, 4):
        load_vit(small_vit(in_channels=channels), randomize(small_vit()).state_dict())
    assert logged == [20, 30]


def test_channels_and_patches_change_together():
    source = randomize(small_vit(img_size=56, patch_size=14))
    report = load_vit(small_vit(img_size=64, patch_size=16, in_channels=5), source.state_dict())
    assert report.resized == {'patch_embed.proj.weight': ((32, 3, 14, 14), (32, 5, 16, 16))} and report.inflated


def test_a_backbone_without_class_token_takes_other_channels_too():
    backbone = small_vit(class_token=False, final_norm=False, window_size=2, global_blocks=(1,), in_channels=4)
    assert load_vit(backbone, randomize(small_mae()).state_dict()).inflated


def test_inflating_can_be_refused_and_changes_nothing():
    vit = small_vit(in_channels=4)
    before = copy_of(vit)
    with pytest.raises(CheckpointError, match='takes 3 image channels; the model 4: use the config that it was'):
        load_vit(vit, randomize(small_vit()).state_dict(), may_inflate=False)
    assert unchanged(vit, before)
