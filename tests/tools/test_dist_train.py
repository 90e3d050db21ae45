"""tools/dist_train.sh on two CPU processes. To print the losses: pytest tests/tools/test_dist_train.py -s"""

from __future__ import annotations

import pytest
import torch

from tests.tools.commands import CONFIG, checkpoint, largest_difference, losses, run, small, train

EPOCHS = 3


def trained_by(work_dir, photos, processes, batch):
    """The work_dir of a run with eight images per optimiser step, ``batch`` of them at once in each process."""
    options = ['--amp', 'off', '--work-dir', work_dir, *small(photos, batch, EPOCHS)]
    if processes == 1:
        train(CONFIG, *options)
    else:
        ended = run('dist_train.sh', CONFIG, processes, *options)
        assert ended.code == 0, ended.err
        assert f'batch 8 = {batch} images x {processes} processes x 1 accumulated' in ended.out
        assert ended.out.count('training on 24 images') == 1, 'only the main process speaks'
    return work_dir


@pytest.fixture(scope='module')
def one(tmp_path_factory, photos):
    return trained_by(tmp_path_factory.mktemp('one'), photos, 1, 8)


@pytest.fixture(scope='module')
def two(tmp_path_factory, photos):
    return trained_by(tmp_path_factory.mktemp('two'), photos, 2, 4)


@pytest.fixture(scope='module')
def accumulated(tmp_path_factory, photos):
    return trained_by(tmp_path_factory.mktemp('accumulated'), photos, 1, 4)


def without_key_bias(work_dir):
    """Weights of a run without the biases of the keys.

    Attention does not depend on these: their gradients are rounding errors, which Adam turns into full steps.
    """
    state = checkpoint(work_dir)['state_dict']
    for name, value in state.items():
        if name.endswith('qkv.bias'):
            state[name] = torch.cat([value.chunk(3)[0], value.chunk(3)[2]])
    return state


def test_two_processes_log_the_losses_of_one(one, two):
    expected, found = losses(one), losses(two)
    print('\niteration  one process of 8  two of 4     difference')
    for i, (a, b) in enumerate(zip(expected, found), 1):
        print(f'{i:9}  {a:.8f}        {b:.8f}  {abs(a - b):.1e}')
    print(f'largest difference {max(abs(a - b) for a, b in zip(expected, found)):.1e}')
    assert len(expected) == len(found) == EPOCHS * 3
    assert found == pytest.approx(expected, abs=1e-5, rel=0)
    assert expected[-1] < expected[0] - 1e-2  # otherwise equal losses would prove nothing


def test_two_processes_end_with_the_weights_of_one(one, two):
    difference = largest_difference(without_key_bias(one), without_key_bias(two))
    print(f'\nweights: largest difference {difference:.1e}')
    assert difference < 1e-5


def test_accumulated_batches_train_the_same_weights_as_whole_ones(one, accumulated):
    parts = torch.tensor(losses(accumulated)).reshape(-1, 2).mean(1)
    difference = largest_difference(without_key_bias(one), without_key_bias(accumulated))
    print(
        f'\naccumulated: largest difference of losses {(parts - torch.tensor(losses(one))).abs().max():.1e}, of '
        f'weights {difference:.1e}'
    )
    assert parts.tolist() == pytest.approx(losses(one), abs=1e-5, rel=0)
    assert difference < 1e-5


def test_a_user_error_ends_all_processes_with_one_line(tmp_path):
    ended = run('dist_train.sh', CONFIG, 2, '--work-dir', tmp_path, *small(tmp_path / 'nowhere', 4))
    assert ended.code != 0
    assert f'error: train_dataloader: {tmp_path}/nowhere does not exist' in ended.err


def test_a_missing_number_of_processes_prints_the_usage():
    ended = run('dist_train.sh', CONFIG)
    assert ended.code == 2 and ended.err == (
        'usage: tools/dist_train.sh CONFIG GPUS [--max-restarts N] [options of train.py]\n'
    )
