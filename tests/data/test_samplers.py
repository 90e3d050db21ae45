"""The order of an epoch's samples, and their seeds."""

from collections import Counter
from itertools import islice

import pytest
from mmengine.dataset import InfiniteSampler, RepeatDataset

from mae_transfer.data import SeededInfiniteSampler, SeededSampler
from mae_transfer.data.seeds import sample_seed
from mae_transfer.errors import UserError


def sampler(
    length: int = 20, rank: int = 0, world: int = 1, seed: int = 3, epoch: int = 0, kind=SeededSampler, **settings
):
    import mmengine.dataset.sampler as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'get_dist_info', lambda: (rank, world))
        result = kind(range(length), seed=seed, **settings)
    result.set_epoch(epoch)
    return result


def test_an_epoch_shows_every_sample_once():
    assert sorted(index for index, _ in sampler()) == list(range(20))
    assert len(sampler()) == 20


def test_the_order_is_shuffled_unless_disabled():
    assert [index for index, _ in sampler()] != list(range(20))
    assert [index for index, _ in sampler(shuffle=False)] == list(range(20))


@pytest.mark.parametrize('world', [2, 4])
def test_several_processes_together_get_the_same_samples_as_one(world):
    ranks = [list(sampler(rank=rank, world=world)) for rank in range(world)]
    assert [sample for together in zip(*ranks, strict=True) for sample in together] == list(sampler())


def test_samples_are_repeated_so_that_all_processes_get_the_same_number():
    ranks = [list(sampler(21, rank, 2)) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]) == 11
    assert {index for rank in ranks for index, _ in rank} == set(range(21))


def test_the_same_epoch_has_the_same_order_and_seeds():
    first = sampler()
    assert list(first) == list(first) == list(sampler())


def test_another_epoch_has_another_order_and_other_seeds():
    one, other = dict(sampler(epoch=0)), dict(sampler(epoch=1))
    assert list(one) != list(other)
    assert not set(one.values()) & set(other.values())


def test_another_run_has_other_seeds():
    assert not set(dict(sampler(seed=3)).values()) & set(dict(sampler(seed=4)).values())


def test_the_seed_depends_only_on_run_epoch_and_index():
    assert dict(sampler(20, epoch=2))[7] == dict(sampler(50, epoch=2))[7] == sample_seed(3, 2, 7)


def test_seeds_are_distinct_and_fit_int64():
    seeds = [sample_seed(run, epoch, index) for run in range(3) for epoch in range(10) for index in range(100)]
    assert len(set(seeds)) == 3000
    assert 0 <= min(seeds) and max(seeds) < 2**63
    assert max(seeds) > 2**62


def test_the_order_of_the_integers_of_a_key_matters():
    assert len({sample_seed(0, 1, 2), sample_seed(0, 2, 1), sample_seed(1, 0, 2), sample_seed(2, 1, 0)}) == 4


@pytest.mark.parametrize('world', [1, 2])
@pytest.mark.parametrize('begin', [0, 1, 7])
@pytest.mark.parametrize('kind', [SeededSampler, SeededInfiniteSampler])
def test_skipped_samples_are_left_out_once(kind, begin, world):
    for rank in range(world):
        whole, skipped = (sampler(20, rank, world, kind=kind) for _ in range(2))
        skipped.skip(begin)
        length = 30 if kind is SeededInfiniteSampler else 20 // world
        assert list(islice(skipped, length - begin)) == list(islice(whole, length))[begin:]
        if kind is SeededSampler:
            assert list(skipped) == list(whole)


@pytest.mark.parametrize('world', [2, 3])
def test_several_processes_divide_the_endless_order_of_one(world):
    ranks = [list(islice(sampler(7, rank, world, kind=SeededInfiniteSampler), 10)) for rank in range(world)]
    together = [sample for step in zip(*ranks) for sample in step]
    assert together == list(islice(sampler(7, kind=SeededInfiniteSampler), 10 * world))
    assert len({seed for _, seed in together}) == 10 * world  # an index that comes again has another seed
    assert [index for index, _ in together] == list(islice(sampler(7, kind=InfiniteSampler), 10 * world))


@pytest.mark.parametrize('kind', [SeededSampler, SeededInfiniteSampler])
def test_a_wrapper_that_drops_the_seeds_is_refused(kind):
    class Wrapper(RepeatDataset):
        """As MMEngine's, of three items."""

        def __init__(self):
            """Nothing is wrapped."""

        def __len__(self) -> int:
            return 3

    with pytest.raises(UserError, match="Wrapper does not pass on .*: choose type='mae_transfer.Wrapper'"):
        kind(Wrapper(), seed=0)


def test_repeats_show_a_photo_several_times_in_a_row_with_other_seeds():
    keys = list(sampler(20, repeats=4))
    assert len(keys) == len(sampler(20, repeats=4)) == 20
    groups = [keys[i : i + 4] for i in range(0, 20, 4)]
    assert all(len({index for index, _ in group}) == 1 for group in groups)
    assert len({seed for _, seed in keys}) == 20


@pytest.mark.parametrize('repeats', [2, 3, 4])
@pytest.mark.parametrize('length', [12, 24])
def test_as_many_epochs_as_repeats_show_every_photo_that_many_times(length, repeats):
    shown = [index for epoch in range(repeats) for index, _ in sampler(length, epoch=epoch, repeats=repeats)]
    assert sorted(shown) == sorted(list(range(length)) * repeats)
    seeds = [seed for epoch in range(repeats) for _, seed in sampler(length, epoch=epoch, repeats=repeats)]
    assert len(set(seeds)) == len(seeds)


def test_photos_that_do_not_divide_are_all_shown_and_few_of_them_more_often():
    shown = Counter(index for epoch in range(3) for index, _ in sampler(20, epoch=epoch, repeats=3))
    assert set(shown) == set(range(20)) and set(shown.values()) <= {3, 6}
    assert len(sampler(20, repeats=3)) == 21


def test_the_next_round_of_epochs_has_another_order():
    first, second = ([index for index, _ in sampler(epoch=epoch, repeats=2)] for epoch in (0, 2))
    assert first != second


@pytest.mark.parametrize('world', [2, 5])
def test_processes_divide_photos_not_crops(world):
    ranks = [list(sampler(40, rank, world, repeats=4)) for rank in range(world)]
    groups = [[keys[i : i + 4] for i in range(0, len(keys), 4)] for keys in ranks]
    assert [key for together in zip(*groups, strict=True) for group in together for key in group] == list(
        sampler(40, repeats=4)
    )


def test_a_repeated_epoch_goes_on_after_the_samples_that_are_skipped():
    whole, rest = list(sampler(repeats=4)), sampler(repeats=4)
    rest.skip(6)
    assert list(rest) == whole[6:]


@pytest.mark.parametrize('repeats', [0, 1.5, True, 'four'])
def test_repeats_are_a_number_of_crops(repeats):
    with pytest.raises(UserError, match='repeats .crops_per_decode in the configs. is a number of crops'):
        sampler(repeats=repeats)
