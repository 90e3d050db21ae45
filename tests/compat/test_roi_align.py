"""RoIAlign on a CPU is torchvision's, value and gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align as theirs

from mae_transfer.compat.roi_align import Pooling, roi_align, roi_align_gradient


def some_rois(count: int, batch: int, extent: float, seed: int, dtype=torch.float64, turned: float = 0) -> torch.Tensor:
    """Boxes of any size and shape, also beyond the map, and a share that ends before it begins."""
    generator = torch.Generator().manual_seed(seed)
    corners = extent * (1.4 * torch.rand(count, 4, generator=generator) - 0.2)
    is_turned = torch.rand(count, 1, generator=generator) < turned
    first, second = torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])
    boxes = torch.where(is_turned, corners, torch.cat([first, second], 1))
    boxes[::7, 2:] = boxes[::7, :2]  # without an extent
    return torch.cat([torch.randint(batch, (count, 1), generator=generator), boxes], dim=1).to(dtype)


def check(features, rois, pooling, rtol):
    """The output, and the gradient for a random one of the output, relative to the largest."""
    features.requires_grad_()
    scale, size, sampling_ratio, aligned = pooling
    expected = theirs(features, rois, size, scale, sampling_ratio, aligned)
    gradient = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(0))
    (of_features,) = torch.autograd.grad(expected, features, gradient)
    output = roi_align(features.detach(), rois, pooling)
    ours = roi_align_gradient(gradient, rois, features.shape, pooling)
    for one, other in ((output, expected), (ours, of_features)):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert (one - other).abs().max() <= rtol * other.abs().max()


@settings(max_examples=80, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    grid=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    count=st.integers(1, 100),
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    scale=st.sampled_from([1.0, 0.25, 0.7]),
    sampling_ratio=st.integers(0, 3),
    aligned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_torchvision_s(batch, channels, grid, count, size, scale, sampling_ratio, aligned, seed):
    features = torch.randn(batch, channels, *grid, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    # torchvision has no value for boxes that are turned round where their size would give the number of samples.
    turned = 0.2 if sampling_ratio else 0.0
    rois = some_rois(count, batch, max(grid) / scale, seed, turned=turned)
    check(features, rois, Pooling(scale, size, sampling_ratio, aligned), rtol=1e-9)


@pytest.mark.parametrize('size, stride', [((7, 7), 4), ((14, 14), 4), ((7, 7), 32)])
def test_float32_differs_by_rounding(size, stride):
    features = torch.randn(2, 8, 512 // stride, 512 // stride)
    check(features, some_rois(200, 2, 512, 0, torch.float32), Pooling(1 / stride, size, 0, True), rtol=1e-5)


def test_no_regions_give_nothing():
    features, pooling = torch.randn(2, 3, 8, 8), Pooling(1.0, (7, 5), 0, True)
    assert roi_align(features, torch.zeros(0, 5), pooling).shape == (0, 3, 7, 5)
    gradient = roi_align_gradient(torch.zeros(0, 3, 7, 5), torch.zeros(0, 5), features.shape, pooling)
    assert gradient.shape == features.shape and not gradient.any()


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_region_that_is_not_finite_is_empty_and_changes_no_other(value):
    features, rois, pooling = (
        torch.randn(1, 3, 8, 8),
        some_rois(5, 1, 8, 0, torch.float32),
        Pooling(1.0, (7, 7), 0, True),
    )
    before = roi_align(features, rois, pooling)
    rois[2, 3] = value
    after = roi_align(features, rois, pooling)
    assert not after[2].any()
    others = [0, 1, 3, 4]
    assert torch.equal(after[others], before[others])
