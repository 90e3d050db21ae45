"""Targets, losses and pictures of any number of channels, against loops over patches, pixels and channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.pretraining import DVAE, NormalizedPixelTarget, PCATarget, PixelTarget, TokenTarget
from mae_transfer.pretraining.preprocessor import PhotoPreprocessor
from mae_transfer.registry import MODELS, SCOPE
from mae_transfer.vit.patches import flatten_patches, join_patches, take_patches, unflatten_patches
from tests.pretraining.test_mae import small_mae

CHANNELS = (1, 4, 13, 16)
every_channel_count = pytest.mark.parametrize('channels', CHANNELS)
sizes = dict(
    channels=st.sampled_from(CHANNELS), rows=st.integers(1, 4), columns=st.integers(1, 4), patch=st.integers(2, 4)
)


def naive_patches(images: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) to (B, N, p * p * C), value by value: patches row by row; in each, rows, columns, channels."""
    batch, channels, height, width = images.shape
    found = []
    for image in images:
        for top in range(0, height, patch):
            for left in range(0, width, patch):
                for y in range(patch):
                    for x in range(patch):
                        found += [image[channel, top + y, left + x] for channel in range(channels)]
    return torch.stack(found).view(batch, -1, patch * patch * channels)


@settings(deadline=None, max_examples=15)
@given(**sizes)
def test_patches_there_and_back(channels, rows, columns, patch):
    images = torch.randn(1, channels, rows * patch, columns * patch)
    vectors = flatten_patches(take_patches(images, patch))
    assert torch.equal(vectors, naive_patches(images, patch))
    assert torch.equal(join_patches(unflatten_patches(vectors, patch), (rows, columns)), images)


@settings(deadline=None, max_examples=15)
@given(**sizes, scale=st.sampled_from([1e-3, 1.0, 1e3]), offset=st.sampled_from([-50.0, 0.0, 50.0]))
def test_pixel_targets_equal_the_naive_ones(channels, rows, columns, patch, scale, offset):
    images = torch.randn(1, channels, rows * patch, columns * patch) * scale + offset
    naive = naive_patches(images.double(), patch)
    assert torch.equal(PixelTarget()(images, patch).double(), naive)
    expected = torch.stack([(one - one.mean()) / (one.var() + 1e-6).sqrt() for one in naive[0]])[None]
    target = NormalizedPixelTarget()
    # The mean of float32 values is exact to about 1e-6 of them.
    tolerance = 1e-4 + 1e-5 * abs(offset) / (scale + 1e-3)
    assert_close(target(images, patch).double(), expected, rtol=1e-3, atol=tolerance)
    restored = join_patches(target.to_pixels(target(images, patch), images, patch), (rows, columns))
    assert_close(restored, images, rtol=1e-4, atol=1e-4 * scale + 1e-5)
    assert target.dim(patch, channels) == PixelTarget().dim(patch, channels) == patch * patch * channels


@every_channel_count
@pytest.mark.parametrize('img_size', [(16, 16), (8, 24)])
@pytest.mark.parametrize('target', ['PixelTarget', 'NormalizedPixelTarget'])
def test_the_loss_is_that_of_the_masked_patches_one_by_one(channels, img_size, target):
    model = small_mae(vit=dict(in_channels=channels, img_size=img_size, patch_size=4), target=dict(type=target))
    images, seeds = torch.randn(2, channels, *img_size), torch.arange(2)
    mask = model.mask(images, seeds)
    everywhere = model.predict(images, mask, everywhere=True)
    wanted = naive_patches(images, 4)
    if target == 'NormalizedPixelTarget':
        wanted = (wanted - wanted.mean(-1, True)) / (wanted.var(-1, keepdim=True) + 1e-6).sqrt()
    errors = [
        (everywhere[image, patch] - wanted[image, patch]).square().mean()
        for image in range(2)
        for patch in mask.masked[image]
    ]
    assert model(images, seeds)['loss'].item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-4)
    picture = model.reconstruct(images, mask)
    kept = mask.as_picture(model.grid(images), 4) == 0
    assert torch.equal(picture.masked_select(kept), images.masked_select(kept))


@every_channel_count
def test_only_the_kept_patches_are_embedded_as_by_the_convolution(channels):
    model = small_mae(vit=dict(in_channels=channels, img_size=(8, 24), patch_size=4))
    images, keep = torch.randn(2, channels, 8, 24), torch.tensor([[11, 0, 5], [3, 4, 7]])
    whole = model.vit.patch_embed(images)
    found = model.vit._embed(images, keep)[0][:, 1:] - model.vit.pos_embed[0, 1:][keep]
    assert_close(found, whole.gather(1, keep[..., None].expand(-1, -1, 32)), rtol=1e-4, atol=1e-5)


@every_channel_count
@pytest.mark.parametrize('size', [(8, 8), (4, 12)])
def test_a_pca_basis_is_that_of_all_values_of_a_patch(channels, size):
    images, target = torch.randn(30, channels, *size) * torch.rand(channels, 1, 1) + 1, PCATarget(5)
    assert target.dim(4, channels) == 5
    target.fit(target.statistics(images))
    patches = naive_patches(images, 4).flatten(0, 1).double()
    _, _, rows = torch.linalg.svd(patches - patches.mean(0), full_matrices=False)
    found = target(images, 4).flatten(0, 1).double()
    assert_close(found.abs(), ((patches - patches.mean(0)) @ rows[:5].T).abs(), rtol=1e-3, atol=1e-4)
    pixels = target.to_pixels(target(images, 4), images, 4)
    assert pixels.shape == (30, size[0] * size[1] // 16, channels, 4, 4)


@every_channel_count
def test_an_mae_of_pca_coefficients_of_any_channels(channels):
    model = small_mae(
        vit=dict(in_channels=channels, img_size=(8, 16), patch_size=4), target=dict(type='PCATarget', components=4)
    )
    images = torch.randn(4, channels, 8, 16)
    model.target.fit(model.target.statistics(images))
    model(images)['loss'].backward()
    assert model.reconstruct(images, model.mask(images)).shape == images.shape


# --- tokens -----------------------------------------------------------------------------------------------------------
def dvae(channels: int) -> dict:
    return dict(type='DVAE', vocab_size=8, width=4, code_dim=4, num_blocks=1, stride=2, channels=channels)


@every_channel_count
@pytest.mark.parametrize('size', [(8, 8), (4, 12)])
def test_a_tokenizer_of_any_channels_is_trained_and_decodes(channels, size):
    model = DVAE(**{key: value for key, value in dvae(channels).items() if key != 'type'})
    images = torch.rand(2, channels, *size)
    sum(model(images, torch.arange(2)).values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        tokens = model.tokens(images)
    assert tokens.shape == (2, size[0] // 2, size[1] // 2) and model.decode(tokens).shape == images.shape


@every_channel_count
def test_a_token_target_of_any_channels(channels):
    with MODELS.switch_scope_and_registry(SCOPE):
        target = TokenTarget(dvae(channels))
    target.ready = True
    target.use_preprocessor(PhotoPreprocessor((0.0,) * channels, (255.0,) * channels))
    assert target.dim(4, channels) == 8
    images = torch.rand(2, channels, 8, 16)
    tokens = target(images, 4)
    assert tokens.shape == (2, 8)
    assert target.to_pixels(torch.randn(2, 8, 8), images, 4).shape == (2, 8, channels, 4, 4)


@pytest.mark.parametrize('tokenizer', [dvae(3), dict(type='DALLEEncoder')], ids=['ours', 'published'])
@every_channel_count
def test_a_tokenizer_of_other_channels_is_refused(tokenizer, channels):
    with MODELS.switch_scope_and_registry(SCOPE), torch.device('meta'):
        target = TokenTarget(tokenizer)
    assert target.tokenizer.channels == 3
    with pytest.raises(UserError, match=f'takes images of 3 channels; the ViT has in_channels={channels}'):
        target.dim(8, channels)
