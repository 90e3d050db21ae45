import numpy as np
import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.exploring.masks import drawn, mask_of, maskings_of, name_of, patch_at, toggled
from mae_transfer.pretraining import BlockMasking, GridMasking, Masking, RandomMasking, seeded_noise


class FirstMasking(Masking):
    """Keeps the first patches."""

    def order(self, grid, noise):
        return torch.arange(grid[0] * grid[1]).expand(len(noise), -1)


@pytest.mark.parametrize('masking', [RandomMasking(0.5), BlockMasking(0.5, least_area=2), GridMasking(0.5)])
@pytest.mark.parametrize('ratio', [0.25, 0.5, 0.8])
def test_a_masking_hides_what_it_hides_in_training(masking, ratio):
    grid, seed = (4, 6), 7
    hidden = drawn(masking, ratio, grid, seed)
    assert hidden.shape == (24,) and hidden.sum() == 24 - int(24 * (1 - ratio))
    assert masking.ratio == 0.5, 'the model keeps its own ratio'
    if ratio == 0.5:
        mask = masking(grid, seeded_noise(torch.tensor([seed]), masking.noise_length(grid)))
        assert sorted(mask.masked[0].tolist()) == np.flatnonzero(hidden).tolist()


def test_another_seed_is_another_mask():
    assert (drawn(RandomMasking(), 0.5, (8, 8), 0) != drawn(RandomMasking(), 0.5, (8, 8), 1)).any()


def test_a_ratio_that_hides_all_is_refused():
    with pytest.raises(UserError, match='keeps 0 of 2 x 2 patches'):
        drawn(RandomMasking(), 0.95, (2, 2), 0)


@pytest.mark.parametrize('count', [0, 3, 8])
def test_the_mask_of_hidden_patches_has_each_patch_once(count):
    hidden = np.zeros(8, bool)
    hidden[[5, 1, 7, 0, 2, 3, 4, 6][:count]] = True
    mask = mask_of(hidden)
    assert mask.as_image_order()[0].bool().tolist() == hidden.tolist()
    assert mask.masked.shape == (1, count) and torch.cat(mask, 1).sort(1).values.tolist() == [[*range(8)]]


def test_a_patch_is_toggled_and_the_others_stay():
    hidden = np.array([True, False, True])
    assert toggled(hidden, 1).tolist() == [True, True, True] and toggled(hidden, 0).tolist() == [False, False, True]
    assert hidden.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ('x', 'y', 'patch'), [(0, 0, 0), (29, 0, 0), (31, 0, 1), (89, 59, 5), (90, 60, 5), (-2, 31, 3)]
)
def test_the_patch_at_a_place(x, y, patch):
    assert patch_at(x, y, (60, 90), (2, 3)) == patch


def test_the_runs_own_masking_is_among_those_to_choose_from():
    own = BlockMasking(0.4, least_area=2)
    found = maskings_of(own)
    assert list(found) == ['random', 'block', 'grid'] and found['block'] is own and name_of(own, found) == 'block'
    other = FirstMasking(0.4)
    found = maskings_of(other)
    assert list(found) == ['random', 'block', 'grid', 'FirstMasking'] and name_of(other, found) == 'FirstMasking'
    assert list(maskings_of(None)) == ['random', 'block', 'grid'] and name_of(None, maskings_of(None)) == 'random'
