"""Pixel targets and their loss."""

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.pretraining import NormalizedPixelTarget, PixelTarget
from mae_transfer.vit.patches import join_patches, take_patches


@pytest.mark.parametrize('target', [PixelTarget(), NormalizedPixelTarget()])
def test_the_length_of_a_prediction(target):
    assert target.dim(16, 3) == 768
    assert target.dim(4, 1) == 16


def test_pixels_run_over_rows_columns_channels():
    image = torch.tensor([[[[1.0, 2], [3, 4]], [[10, 20], [30, 40]]]])
    assert PixelTarget()(image, 2).tolist() == [[[1, 10, 2, 20, 3, 30, 4, 40]]]


@pytest.mark.parametrize('target', [PixelTarget(), NormalizedPixelTarget()])
def test_the_target_of_chosen_patches_is_that_part_of_all(target):
    images, index = torch.randn(2, 3, 12, 8), torch.tensor([[5, 0, 2], [1, 1, 3]])
    everything = target(images, 4)
    assert everything.shape == (2, 6, 48)
    assert_close(target(images, 4, index), everything.gather(1, index[..., None].expand(-1, -1, 48)))


def test_each_patch_is_normalised_by_its_own_mean_and_unbiased_variance():
    images = torch.randn(2, 3, 8, 8) * 3 + 5
    found = NormalizedPixelTarget()(images, 4)
    vectors = take_patches(images, 4).flatten(2)
    assert_close(found.mean(dim=-1), torch.zeros(2, 4), rtol=0, atol=1e-5)
    assert_close(found.square().sum(dim=-1), torch.full((2, 4), 47.0), rtol=1e-5, atol=1e-4)  # N - 1 of N = 48
    assert found.max().item() == pytest.approx(
        ((vectors - vectors.mean(-1, True)) / vectors.std(-1, keepdim=True)).max().item(), rel=1e-5
    )


def test_1e_6_is_added_to_the_variance():
    image = torch.zeros(1, 1, 2, 2)
    image[0, 0, 0, 0] = 2e-3  # mean 5e-4, unbiased variance 1e-6
    found = NormalizedPixelTarget()(image, 2)
    assert found[0, 0, 0].item() == pytest.approx(1.5e-3 / (2e-6) ** 0.5, rel=1e-5)


def test_a_flat_patch_is_zero():
    assert (NormalizedPixelTarget()(torch.full((1, 3, 4, 4), 2.0), 4) == 0).all()


@pytest.mark.parametrize('target', [PixelTarget(), NormalizedPixelTarget()])
def test_to_pixels_undoes_the_target(target):
    images = torch.randn(2, 3, 8, 12)
    patches = target.to_pixels(target(images, 4), images, 4)
    assert_close(join_patches(patches, (2, 3)), images, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('target', [PixelTarget(), NormalizedPixelTarget()])
def test_to_pixels_undoes_the_target_of_chosen_patches(target):
    images, index = torch.randn(2, 3, 8, 12), torch.tensor([[5, 0], [1, 3]])
    patches = target.to_pixels(target(images, 4, index), images, 4, index)
    assert_close(patches, take_patches(images, 4, index), rtol=1e-5, atol=1e-5)


def test_the_loss_is_each_images_mean_square():
    prediction, target = torch.randn(3, 5, 7), torch.randn(3, 5, 7)
    losses = PixelTarget().loss(prediction, target)
    assert losses.shape == (3,)
    for i in range(3):
        assert losses[i].item() == pytest.approx(((prediction[i] - target[i]) ** 2).sum().item() / 35, rel=1e-5)


@pytest.mark.parametrize('target', [PixelTarget(), NormalizedPixelTarget()])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_target_and_loss_are_float32_under_autocast(target, dtype):
    images = torch.randn(2, 3, 8, 8) * 3
    prediction = torch.randn(2, 4, 48).to(dtype)
    plain = target.loss(prediction, target(images, 4))
    with torch.autocast('cpu', dtype):
        wanted = target(images, 4)
        losses = target.loss(prediction, wanted)
    assert wanted.dtype == losses.dtype == torch.float32
    assert_close(losses, plain, rtol=0, atol=0)


def test_a_large_error_does_not_overflow_in_half_precision():
    losses = PixelTarget().loss(torch.full((1, 1, 4), 60000.0, dtype=torch.float16), torch.zeros(1, 1, 4))
    assert losses.item() == pytest.approx(3.6e9, rel=1e-3)
