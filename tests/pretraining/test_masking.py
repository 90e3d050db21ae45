"""Which patches are masked, and the noise that decides it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.errors import UserError
from mae_transfer.pretraining import BlockMasking, GridMasking, Mask, RandomMasking, seeded_noise
from mae_transfer.pretraining.masking import MASKINGS
from tests.official import GOLDEN, noise

#: grid, ratio, number of kept patches: cases in which float rounding matters
ROUNDING = [
    ((10, 10), 0.8, 19),
    ((10, 10), 0.9, 9),
    ((20, 20), 0.8, 79),
    ((20, 20), 0.9, 39),
    ((14, 14), 0.75, 49),
    ((16, 16), 0.75, 64),
]


# --- every masking ----------------------------------------------------------------------------------------------------
def draw(masking, grid, batch: int = 1, seed: int = 0) -> Mask:
    return masking(grid, seeded_noise(torch.arange(seed, seed + batch), masking.noise_length(grid)))


def pictures(masking, grid, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """(batch, rows, columns) bool: which patches are masked."""
    return draw(masking, grid, batch, seed).as_image_order().reshape(batch, *grid).bool()


@pytest.mark.parametrize('kind', MASKINGS.values())
@pytest.mark.parametrize('grid, ratio, kept', ROUNDING)
def test_the_number_kept_follows_the_official_rounding(kind, grid, ratio, kept):
    assert kind(ratio).num_kept(grid) == kept
    mask = draw(kind(ratio), grid)
    assert mask.keep.shape == (1, kept) and mask.masked.shape == (1, grid[0] * grid[1] - kept)


@pytest.mark.parametrize('kind', MASKINGS.values())
@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    ratio=st.floats(0.01, 0.99),
    batch=st.integers(1, 3),
    seed=st.integers(0, 2**60),
)
def test_every_image_keeps_the_truncated_share_and_each_patch_is_kept_or_masked(
    kind, rows, columns, ratio, batch, seed
):
    total = rows * columns
    kept = int(total * (1 - ratio))
    masking = kind(ratio)
    if not 0 < kept < total:
        with pytest.raises(UserError, match=f'keeps {kept} of {rows} x {columns}'):
            masking.num_kept((rows, columns))
        return
    mask = draw(masking, (rows, columns), batch, seed)
    assert mask.keep.shape == (batch, kept)
    assert mask.keep.dtype == mask.masked.dtype == torch.int64
    parts = torch.cat([mask.keep, mask.masked], dim=1).sort(dim=1).values
    assert torch.equal(parts, torch.arange(total).expand(batch, -1))


@pytest.mark.parametrize('kind', MASKINGS.values())
def test_an_image_s_mask_does_not_depend_on_its_batch(kind):
    together = draw(kind(0.6), (9, 12), batch=5, seed=40)
    for i in range(5):
        assert torch.equal(draw(kind(0.6), (9, 12), seed=40 + i).keep[0], together.keep[i])


@pytest.mark.parametrize('kind', MASKINGS.values())
@pytest.mark.parametrize('ratio', [0, 1, -0.1, 1.5, float('nan')])
def test_a_ratio_outside_zero_and_one_is_refused(kind, ratio):
    with pytest.raises(UserError, match='strictly between 0 and 1'):
        kind(ratio)


# --- random masking ---------------------------------------------------------------------------------------------------
def test_the_patches_of_lowest_noise_are_kept():
    mask = RandomMasking(0.5)((2, 2), torch.tensor([[0.9, 0.1, 0.8, 0.2], [0.3, 0.4, 0.1, 0.2]]))
    assert mask.keep.tolist() == [[1, 3], [2, 3]]
    assert mask.masked.tolist() == [[2, 0], [0, 1]]


@pytest.mark.parametrize('case', GOLDEN['masked_autoencoder'], ids=lambda case: case['name'])
def test_given_noise_gives_the_official_mask(case):
    side = case['image_size'] // case['patch_size']
    mask = RandomMasking(case['mask_ratio'])((side, side), noise((2, side * side)))
    assert mask.as_image_order()[0].int().tolist() == case['masked_first_image']


def test_of_equal_noise_the_first_patches_are_kept():
    mask = RandomMasking(0.75)((20, 20), torch.zeros(1, 400))
    assert torch.equal(mask.keep[0], torch.arange(100))


def test_image_order_is_zero_for_kept_and_one_for_masked():
    mask = Mask(torch.tensor([[2, 0], [1, 3]]), torch.tensor([[3, 1], [0, 2]]))
    assert mask.as_image_order().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]
    assert mask.as_image_order().dtype == torch.float32


def test_a_picture_of_the_mask_shows_each_patch_in_its_size_and_position():
    mask = Mask(torch.tensor([[0, 4], [5, 1]]), torch.tensor([[1, 2, 3, 5], [0, 2, 3, 4]]))
    picture = mask.as_picture((2, 3), 2)
    assert picture.shape == (2, 1, 4, 6) and picture.dtype == torch.float32
    assert picture[0, 0].tolist() == [[0, 0, 1, 1, 1, 1]] * 2 + [[1, 1, 0, 0, 1, 1]] * 2
    assert picture[1, 0].tolist() == [[1, 1, 0, 0, 1, 1]] * 2 + [[1, 1, 1, 1, 0, 0]] * 2


# --- block masking ----------------------------------------------------------------------------------------------------
def boundary_length(masked: torch.Tensor) -> torch.Tensor:
    """(batch,): number of pairs of neighbours of which one is masked and the other kept."""
    return (masked[:, 1:] != masked[:, :-1]).sum((1, 2)) + (masked[:, :, 1:] != masked[:, :, :-1]).sum((1, 2))


@pytest.mark.parametrize('ratio', [0.3, 0.5, 0.75])
def test_blocks_are_contiguous(ratio):
    """Masked and kept patches meet along few edges; in random masks along many."""
    blocks, random = (
        boundary_length(pictures(kind(ratio), (14, 14), 200)).double() for kind in (BlockMasking, RandomMasking)
    )
    assert blocks.max() < random.min() and blocks.mean() < 0.5 * random.mean()


def is_rectangle(masked: torch.Tensor) -> bool:
    return bool(masked.any(1).sum() * masked.any(0).sum() == masked.sum())


def test_the_mask_is_often_one_block_if_the_least_area_is_all_that_is_masked():
    """The first rectangle has 16 patches, unless its rounded sides give 15 or 18."""
    share = sum(map(is_rectangle, pictures(BlockMasking(16 / 196, least_area=16), (14, 14), 200))) / 200
    assert share > 0.1
    assert not any(map(is_rectangle, pictures(RandomMasking(16 / 196), (14, 14), 200)))


def test_a_larger_least_area_makes_fewer_blocks():
    small, large = (
        boundary_length(pictures(BlockMasking(0.5, least_area=area), (14, 14), 300)).double().mean() for area in (1, 60)
    )
    assert large < 0.8 * small


@pytest.mark.parametrize(
    'area, aspect, expected',
    [(16, 1.0, {(4, 4)}), (12, 0.6, {(3, 4), (4, 3)}), (12, 0.3, {(3, 4), (4, 3), (2, 6), (6, 2)})],
)
def test_the_aspect_limits_the_shape_of_blocks(area, aspect, expected):
    masking = BlockMasking(1 - (196.5 - area) / 196, least_area=area, aspect=aspect)
    shapes = {
        (masked.any(1).sum().item(), masked.any(0).sum().item())
        for masked in pictures(masking, (14, 14), 300)
        if is_rectangle(masked)
    }
    assert shapes == expected


def test_every_patch_is_masked_in_some_images_and_kept_in_others():
    frequency = pictures(BlockMasking(0.5), (14, 14), 2000).float().mean(0)
    assert 0.05 < frequency.min() and frequency.max() < 0.85
    # No side is preferred: a mask and its mirror image are equally likely, except for the cut of the last rectangle.
    assert (frequency - frequency.flip(1)).abs().max() < 5.5 * (2 * 0.25 / 2000) ** 0.5


@pytest.mark.parametrize('settings', [dict(least_area=0), dict(aspect=0), dict(aspect=1.5)])
def test_an_impossible_area_or_aspect_is_refused(settings):
    with pytest.raises(UserError, match='at least 1 patch and an aspect above 0'):
        BlockMasking(0.5, **settings)


# --- grid masking -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('grid', [(14, 14), (16, 16), (8, 12), (2, 2), (4, 30)])
def test_at_three_quarters_one_of_every_four_patches_is_kept(grid):
    masked = pictures(GridMasking(0.75), grid)[0]
    assert not masked[::2, ::2].any() and masked.sum() == 0.75 * masked.numel()


def test_at_one_half_the_grid_is_a_chessboard():
    masked = pictures(GridMasking(0.5), (6, 10))[0]
    assert (masked[1:] != masked[:-1]).all() and (masked[:, 1:] != masked[:, :-1]).all()


@settings(deadline=None, max_examples=50, derandomize=True)
@given(power=st.integers(1, 4), ratio=st.floats(0.05, 0.95))
def test_every_part_of_a_grid_is_masked_equally(power, ratio):
    """In a square whose side is a power of two, the quarters keep the same number of patches, give or take one."""
    side = 2**power
    if not 0 < int(side * side * (1 - ratio)) < side * side:
        return
    visible = ~pictures(GridMasking(ratio), (side, side))[0]
    quarters = [part.sum().item() for half in visible.chunk(2, 0) for part in half.chunk(2, 1)]
    assert max(quarters) - min(quarters) <= 1


def test_a_grid_is_the_same_in_every_image_and_needs_no_noise():
    assert GridMasking(0.75).noise_length((14, 14)) == 0
    masks = pictures(GridMasking(0.75), (7, 9), 3)
    assert torch.equal(masks[0], masks[1]) and torch.equal(masks[0], masks[2])


# --- noise ------------------------------------------------------------------------------------------------------------
def test_noise_is_uniform():
    values = seeded_noise(torch.arange(1000), 196).double().flatten()
    assert 0 <= values.min() and values.max() < 1
    # 196000 values: tolerances of about four standard errors.
    assert values.mean().item() == pytest.approx(0.5, abs=4 * 0.2887 / 196000**0.5)
    assert values.var().item() == pytest.approx(1 / 12, abs=4 * 0.0745 / 196000**0.5)
    counts = values.mul(64).long().bincount(minlength=64).double()
    chi_square = ((counts - 196000 / 64).square() / (196000 / 64)).sum().item()
    assert 24 < chi_square < 115  # 63 degrees of freedom: outside this range once in a hundred thousand


def test_neighbouring_patches_and_neighbouring_seeds_are_uncorrelated():
    values = seeded_noise(torch.arange(1000), 196).double() - 0.5
    for one, other in ((values[:, 1:], values[:, :-1]), (values[1:], values[:-1]), (values[:, 14:], values[:, :-14])):
        correlation = (one * other).mean().item() * 12
        assert abs(correlation) < 4.5 / one.numel() ** 0.5


def test_noise_does_not_depend_on_the_batch():
    seeds = torch.tensor([3, 2**62, 0, 17])
    together = seeded_noise(seeds, 50)
    for row, seed in enumerate(seeds):
        assert torch.equal(seeded_noise(seed[None], 50)[0], together[row])


def test_longer_noise_begins_with_the_shorter():
    seeds = torch.tensor([5, 6])
    assert torch.equal(seeded_noise(seeds, 100)[:, :30], seeded_noise(seeds, 30))


def test_the_same_seed_gives_the_same_noise_regardless_of_the_global_generator():
    torch.manual_seed(0)
    first = seeded_noise(torch.tensor([7]), 100)
    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(seeded_noise(torch.tensor([7]), 100), first)
    torch.manual_seed(0)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize('step', [1, 2**31, 2**32, 2**33, 2**61])
@pytest.mark.parametrize('seed', [0, 1, 123456789, 2**60])
def test_different_seeds_give_different_noise(seed, step):
    one, other = seeded_noise(torch.tensor([seed, seed + step]), 196)
    assert (one == other).float().mean() < 0.03
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < 0.35


def test_ten_thousand_seeds_give_ten_thousand_different_noises():
    first = seeded_noise(torch.arange(10000), 3)
    assert len(first.unique(dim=0)) == 10000


def test_noise_is_the_documented_function_of_seed_and_position():
    """Computed with Python's integers; the function must not change, so that runs of all versions are comparable."""

    def mix(x):
        for _ in range(2):
            x = ((x ^ (x >> 16)) * 0x45D9F3B) % 2**32
        return x ^ (x >> 16)

    for seed in (0, 1, 2**40 + 5, 2**63 - 1):
        key = mix(mix(seed % 2**32) ^ (seed >> 32))
        expected = [
            (mix((mix(key ^ mix(position + 0x1234567)) + position) % 2**32) >> 8) / 2**24 for position in range(20)
        ]
        assert seeded_noise(torch.tensor([seed]), 20)[0].tolist() == expected


def test_every_patch_is_masked_equally_often():
    batch = 4000
    mask = RandomMasking(0.75)((7, 7), seeded_noise(torch.arange(batch), 49)).as_image_order()
    share = 1 - 12 / 49
    frequency = mask.mean(dim=0)
    assert (frequency - share).abs().max().item() < 4.5 * (share * (1 - share) / batch) ** 0.5


def test_pairs_of_patches_are_kept_equally_often():
    batch = 4000
    kept = 1 - RandomMasking(0.75)((7, 7), seeded_noise(torch.arange(batch), 49)).as_image_order()
    together = (kept.T @ kept / batch)[torch.triu_indices(49, 49, 1).unbind()]
    share = 12 * 11 / (49 * 48)
    assert (together - share).abs().max().item() < 5.5 * (share * (1 - share) / batch) ** 0.5
