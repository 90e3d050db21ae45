"""Which patches are hidden, and the noise that decides it."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.official import GOLDEN, noise

from mae_transfer.errors import UserError
from mae_transfer.pretrain import Mask, RandomMasking, seeded_noise

TRAPS = [((10, 10), .8, 19), ((10, 10), .9, 9), ((20, 20), .8, 79), ((20, 20), .9, 39), ((14, 14), .75, 49), ((16, 16), .75, 64)]


# --- masking ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('grid, ratio, kept', TRAPS)
def test_the_number_kept_follows_the_official_rounding(grid, ratio, kept):
    assert RandomMasking(ratio).num_kept(grid) == kept
    mask = RandomMasking(ratio)(1, grid, torch.rand(1, grid[0] * grid[1]))
    assert mask.keep.shape == (1, kept) and mask.masked.shape == (1, grid[0] * grid[1] - kept)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 20), columns=st.integers(1, 20), ratio=st.floats(.01, .99), batch=st.integers(1, 3))
def test_every_image_keeps_the_truncated_share_and_each_patch_is_in_one_part(rows, columns, ratio, batch):
    total = rows * columns
    kept = int(total * (1 - ratio))
    masking = RandomMasking(ratio)
    if not 0 < kept < total:
        with pytest.raises(UserError, match=f'keeps {kept} of {rows} x {columns}'):
            masking.num_kept((rows, columns))
        return
    mask = masking(batch, (rows, columns), torch.rand(batch, total))
    assert mask.keep.shape == (batch, kept)
    assert mask.keep.dtype == mask.masked.dtype == torch.int64
    parts = torch.cat([mask.keep, mask.masked], dim=1).sort(dim=1).values
    assert torch.equal(parts, torch.arange(total).expand(batch, -1))


def test_the_patches_of_lowest_noise_are_kept():
    mask = RandomMasking(.5)(2, (2, 2), torch.tensor([[.9, .1, .8, .2], [.3, .4, .1, .2]]))
    assert mask.keep.tolist() == [[1, 3], [2, 3]]
    assert mask.masked.tolist() == [[2, 0], [0, 1]]


@pytest.mark.parametrize('case', GOLDEN['masked_autoencoder'], ids=lambda case: case['name'])
def test_given_noise_gives_the_official_mask(case):
    side = case['image_size'] // case['patch_size']
    mask = RandomMasking(case['mask_ratio'])(2, (side, side), noise((2, side * side)))
    assert mask.as_image_order()[0].int().tolist() == case['masked_first_image']


def test_equal_noise_is_decided_by_the_place():
    mask = RandomMasking(.75)(1, (20, 20), torch.zeros(1, 400))
    assert torch.equal(mask.keep[0], torch.arange(100))


def test_image_order_is_zero_for_kept_and_one_for_masked():
    mask = Mask(torch.tensor([[2, 0], [1, 3]]), torch.tensor([[3, 1], [0, 2]]))
    assert mask.as_image_order().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]
    assert mask.as_image_order().dtype == torch.float32


@pytest.mark.parametrize('ratio', [0, 1, -.1, 1.5, float('nan')])
def test_a_ratio_outside_zero_and_one_is_refused(ratio):
    with pytest.raises(UserError, match='strictly between 0 and 1'):
        RandomMasking(ratio)


# --- noise ------------------------------------------------------------------------------------------------------------
def test_noise_is_uniform():
    values = seeded_noise(torch.arange(1000), 196).double().flatten()
    assert 0 <= values.min() and values.max() < 1
    # 196000 values: tolerances of about four standard errors.
    assert values.mean().item() == pytest.approx(.5, abs=4 * .2887 / 196000 ** .5)
    assert values.var().item() == pytest.approx(1 / 12, abs=4 * .0745 / 196000 ** .5)
    counts = values.mul(64).long().bincount(minlength=64).double()
    chi_square = ((counts - 196000 / 64).square() / (196000 / 64)).sum().item()
    assert 24 < chi_square < 115  # 63 degrees of freedom: outside of it once in a hundred thousand


def test_neighbouring_patches_and_neighbouring_seeds_are_uncorrelated():
    values = seeded_noise(torch.arange(1000), 196).double() - .5
    for one, other in ((values[:, 1:], values[:, :-1]), (values[1:], values[:-1]), (values[:, 14:], values[:, :-14])):
        correlation = (one * other).mean().item() * 12
        assert abs(correlation) < 4.5 / one.numel() ** .5


def test_noise_does_not_depend_on_the_batch():
    seeds = torch.tensor([3, 2 ** 62, 0, 17])
    together = seeded_noise(seeds, 50)
    for row, seed in enumerate(seeds):
        assert torch.equal(seeded_noise(seed[None], 50)[0], together[row])


def test_a_longer_noise_begins_with_the_shorter():
    seeds = torch.tensor([5, 6])
    assert torch.equal(seeded_noise(seeds, 100)[:, :30], seeded_noise(seeds, 30))


def test_the_same_seed_gives_the_same_noise_whatever_the_global_generator():
    torch.manual_seed(0)
    first = seeded_noise(torch.tensor([7]), 100)
    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(seeded_noise(torch.tensor([7]), 100), first)
    torch.manual_seed(0)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize('step', [1, 2 ** 31, 2 ** 32, 2 ** 33, 2 ** 61])
@pytest.mark.parametrize('seed', [0, 1, 123456789, 2 ** 60])
def test_seeds_that_differ_give_other_noise(seed, step):
    one, other = seeded_noise(torch.tensor([seed, seed + step]), 196)
    assert (one == other).float().mean() < .03
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < .35


def test_ten_thousand_seeds_give_ten_thousand_noises():
    first = seeded_noise(torch.arange(10000), 3)
    assert len(first.unique(dim=0)) == 10000


def test_noise_is_the_documented_function_of_seed_and_place():
    """Worked out in Python's own integers: pins the function, so that checkpoints stay comparable between versions."""
    def mix(x):
        for _ in range(2):
            x = ((x ^ (x >> 16)) * 0x45D9F3B) % 2 ** 32
        return x ^ (x >> 16)

    for seed in (0, 1, 2 ** 40 + 5, 2 ** 63 - 1):
        key = mix(mix(seed % 2 ** 32) ^ (seed >> 32))
        expected = [(mix((mix(key ^ mix(place + 0x1234567)) + place) % 2 ** 32) >> 8) / 2 ** 24 for place in range(20)]
        assert seeded_noise(torch.tensor([seed]), 20)[0].tolist() == expected


def test_every_patch_is_masked_equally_often():
    batch = 4000
    mask = RandomMasking(.75)(batch, (7, 7), seeded_noise(torch.arange(batch), 49)).as_image_order()
    share = 1 - 12 / 49
    frequency = mask.mean(dim=0)
    assert (frequency - share).abs().max().item() < 4.5 * (share * (1 - share) / batch) ** .5


def test_pairs_of_patches_are_kept_equally_often():
    batch = 4000
    kept = 1 - RandomMasking(.75)(batch, (7, 7), seeded_noise(torch.arange(batch), 49)).as_image_order()
    together = (kept.T @ kept / batch)[torch.triu_indices(49, 49, 1).unbind()]
    share = 12 * 11 / (49 * 48)
    assert (together - share).abs().max().item() < 5.5 * (share * (1 - share) / batch) ** .5
