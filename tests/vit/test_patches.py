"""Images to patches and back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.vit.patches import flatten_patches, join_patches, patch_view, take_patches, unflatten_patches

grids = st.tuples(st.integers(1, 5), st.integers(1, 5))


@settings(deadline=None, max_examples=30)
@given(grid=grids, patch=st.integers(1, 4), channels=st.integers(1, 4))
def test_joining_all_patches_gives_the_image(grid, patch, channels):
    images = torch.randn(2, channels, grid[0] * patch, grid[1] * patch)
    assert torch.equal(join_patches(take_patches(images, patch), grid), images)


@settings(deadline=None, max_examples=20)
@given(grid=grids, patch=st.integers(1, 4), channels=st.integers(1, 4))
def test_unflattening_undoes_flattening(grid, patch, channels):
    patches = torch.randn(2, grid[0] * grid[1], channels, patch, patch)
    vectors = flatten_patches(patches)
    assert vectors.shape == (2, grid[0] * grid[1], patch * patch * channels)
    assert torch.equal(unflatten_patches(vectors, patch), patches)


@settings(deadline=None, max_examples=30)
@given(grid=grids, data=st.data())
def test_chosen_patches_equal_those_of_the_whole_image(grid, data):
    total = grid[0] * grid[1]
    index = torch.tensor(
        data.draw(st.lists(st.lists(st.integers(0, total - 1), min_size=3, max_size=3), min_size=2, max_size=2))
    )
    images = torch.randn(2, 3, grid[0] * 2, grid[1] * 2)
    everything = take_patches(images, 2)
    expected = torch.stack([everything[image, index[image]] for image in range(2)])
    assert torch.equal(take_patches(images, 2, index), expected)


def test_patches_are_counted_row_by_row():
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert take_patches(images, 2)[0, 1, 0].tolist() == [[2, 3], [6, 7]]
    assert take_patches(images, 2)[0, 2, 0].tolist() == [[8, 9], [12, 13]]


def test_a_vector_runs_over_rows_then_columns_then_channels():
    patch = torch.tensor([[[1.0, 2], [3, 4]], [[10, 20], [30, 40]]])  # (C, p, p)
    assert flatten_patches(patch).tolist() == [1, 10, 2, 20, 3, 30, 4, 40]


def test_the_view_shares_the_images_memory():
    images = torch.zeros(1, 3, 8, 8)
    patch_view(images, 4)[0, 1, 0] = 1
    assert images[..., 4:, :4].sum() == 3 * 16 and images.sum() == 3 * 16


@pytest.mark.parametrize('size', [(9, 8), (8, 9)])
def test_an_image_size_that_is_no_multiple_of_the_patch_is_refused(size):
    with pytest.raises(ValueError, match=f'{size[0]} x {size[1]} does not divide into patches of 4'):
        patch_view(torch.zeros(1, 3, *size), 4)
