"""A resumed run keeps its own settings, and takes its place and state from the file."""

import re
import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook

from mae_transfer.errors import UserError
from mae_transfer.registry import HOOKS
from mae_transfer.runner import StrictRunner
from mae_transfer.runs import EpochBasedTrainLoop
from mae_transfer.runs.resuming import find_place
from tests.helpers import photo_folder, pretraining

COSINE = [dict(type='WarmupCosineLR', warmup=1, by_epoch=True, convert_to_iter_based=True)]
STEPS = [
    dict(type='LinearLR', start_factor=0.1, end=3, by_epoch=False),
    dict(type='PolyLR', power=1.0, begin=3, by_epoch=False),
]


@HOOKS.register_module(force=True)
class NoteRates(Hook):
    """Keeps the rate, momentum terms and weight decay that each iteration is made with."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        group = runner.optim_wrapper.optimizer.param_groups[0]
        runner.noted = [
            *getattr(runner, 'noted', []),
            (runner.iter, group['lr'], group['betas'], group['weight_decay']),
        ]


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """24 photos, of which 12 are trained on."""
    return photo_folder(tmp_path_factory.mktemp('photos'), 24)


def run(
    photos, work_dir, resume=None, epochs=None, iters=None, base_lr=0.128, total=4, batch=2, optimizer=(), **changes
):
    """Train; ``resume``: the file to go on from."""
    loop = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=99)
    if iters:
        loop = dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=999)
    cfg = pretraining(photos, work_dir, dict(type='NoteRates'), total_batch_size=total, base_lr=base_lr, train_cfg=loop)
    cfg.train_dataloader.batch_size = batch
    cfg.param_scheduler = STEPS if iters else COSINE
    cfg.default_hooks.checkpoint.by_epoch = not iters
    cfg.optim_wrapper.optimizer.pop('lr')
    cfg.optim_wrapper.optimizer.update(dict(optimizer))
    cfg.merge_from_dict(changes)
    if resume:
        cfg.update(resume=True, load_from=str(resume))
    runner = StrictRunner.from_cfg(cfg)
    with mock.patch.object(runner.logger, 'warning', wraps=runner.logger.warning) as warning:
        runner.train()
    runner.warned = [str(call.args[0]) for call in warning.call_args_list if 'settings' in str(call.args[0])]
    return runner


@pytest.fixture(scope='module')
def three_epochs(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp('three')
    run(photos, folder, epochs=3)
    return folder / 'epoch_3.pth'


@pytest.fixture(scope='module')
def six_steps(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp('six')
    run(photos, folder, iters=6)
    return folder / 'iter_12.pth'


def rates(runner) -> list:
    """(iteration, rate, betas, weight decay), rates rounded to what float arithmetic in another order gives."""
    return [(iteration, pytest.approx(rate, rel=1e-9, abs=1e-15), *rest) for iteration, rate, *rest in runner.noted]


@pytest.mark.parametrize(
    'changes, differs',
    [
        (dict(epochs=8), 'cosine_end 8 (there 3)'),
        (dict(epochs=8, base_lr=0.064), 'initial_lr 0.001 (there 0.002)'),
        (dict(epochs=5, total=2), 'initial_lr 0.001 (there 0.002)'),
        (dict(epochs=5, optimizer=dict(weight_decay=0.3, betas=(0.9, 0.95))), 'weight_decay 0.3 (there 0.05)'),
        (dict(epochs=5, param_scheduler=[dict(COSINE[0], min_lr=1e-4, warmup=2)]), 'warmup 2 (there 1)'),
    ],
)
def test_a_run_of_epochs_goes_on_by_its_own_settings(photos, tmp_path, three_epochs, changes, differs):
    resumed = run(photos, tmp_path / 'resumed', resume=three_epochs, **changes)
    whole = run(photos, tmp_path / 'whole', **changes)
    assert resumed.noted[0][0] == 18 and rates(resumed) == whole.noted[18:]
    assert len(resumed.warned) == 1 and differs in resumed.warned[0]


@pytest.mark.parametrize(
    'changes, differs',
    [
        (dict(iters=12), 'total_iters'),
        (dict(iters=9, base_lr=0.064), 'initial_lr 0.001 (there 0.002)'),
        (dict(iters=9, param_scheduler=[STEPS[1]]), 'begin'),
    ],
)
def test_a_run_of_steps_goes_on_by_its_own_settings(photos, tmp_path, six_steps, changes, differs):
    if len(changes.get('param_scheduler', ())) == 1:
        changes = dict(changes, param_scheduler=[dict(STEPS[0], end=5), dict(STEPS[1], begin=5)])
    resumed = run(photos, tmp_path / 'resumed', resume=six_steps, **changes)
    whole = run(photos, tmp_path / 'whole', **changes)
    assert resumed.noted[0][0] == 12 and rates(resumed) == whole.noted[12:]
    assert len(resumed.warned) == 1 and differs.partition(' ')[0] in resumed.warned[0]


@pytest.mark.parametrize('batch', [1, 4])
def test_another_division_of_the_batch_finds_its_place(photos, tmp_path, three_epochs, six_steps, batch):
    for file, changes in ((three_epochs, dict(epochs=5)), (six_steps, dict(iters=9))):
        resumed = run(photos, tmp_path / 'resumed', resume=file, batch=batch, **changes)
        whole = run(photos, tmp_path / 'whole', batch=batch, **changes)
        done = 3 * 12 // batch if file is three_epochs else 6 * 4 // batch
        assert resumed.noted[0][0] == done and rates(resumed) == whole.noted[done:]


@pytest.mark.parametrize('changes', [dict(epochs=5), dict(iters=9)])
def test_the_same_settings_are_not_talked_about_and_end_in_the_same_weights(photos, tmp_path, changes):
    whole = run(photos, tmp_path / 'whole', **changes)
    file = tmp_path / 'whole' / ('iter_12.pth' if 'iters' in changes else 'epoch_3.pth')
    resumed = run(photos, tmp_path / 'resumed', resume=file, **changes)
    assert resumed.warned == [] and resumed.noted == whole.noted[-len(resumed.noted) :]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_moments_and_steps_come_from_the_file(photos, tmp_path, three_epochs):
    resumed = run(photos, tmp_path, resume=three_epochs, epochs=3)
    there = torch.load(three_epochs, weights_only=False)['optimizer']['state']
    here = resumed.optim_wrapper.optimizer.state_dict()['state']
    assert all(torch.equal(here[key]['exp_avg'], value['exp_avg']) for key, value in there.items())


def test_a_file_of_weights_alone_is_refused(photos, tmp_path, three_epochs):
    weights = torch.load(three_epochs, weights_only=False)['state_dict']
    for content in (dict(state_dict=weights), weights):
        torch.save(content, tmp_path / 'weights.pth')
        with pytest.raises(UserError, match='weights.pth holds weights, not the state of a run.*by --load-from'):
            run(photos, tmp_path / 'run', resume=tmp_path / 'weights.pth', epochs=5)


@pytest.mark.parametrize('changes, words', [(dict(epochs=2), '3 epochs .* has 2: set max_epochs'), (dict(iters=4), '')])
def test_a_longer_run_is_refused(photos, tmp_path, three_epochs, six_steps, changes, words):
    file, words = (six_steps, '12 iters .* has 8: set max_iters') if 'iters' in changes else (three_epochs, words)
    with pytest.raises(UserError, match=f'has done {words} to more'):
        run(photos, tmp_path, resume=file, **changes)


def test_other_groups_of_parameters_are_refused(photos, tmp_path, three_epochs):
    with pytest.raises(UserError, match='epoch_3.pth is of a run with other groups of parameters .*--load-from'):
        run(photos, tmp_path, resume=three_epochs, epochs=5, optim_wrapper=dict(paramwise_cfg=dict(layer_decay=0.5)))


@pytest.mark.parametrize('own, used', [(7, 7), (None, 0)])
def test_a_seed_of_its_own_is_kept_and_none_is_taken_from_the_file(photos, tmp_path, three_epochs, own, used):
    assert run(photos, tmp_path, resume=three_epochs, epochs=3, randomness=dict(seed=own)).seed == used


# --- damaged files ----------------------------------------------------------------------------------------------------
def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    """Of a weight; between the parts of the file are bytes without a meaning."""
    content = bytearray(path.read_bytes())
    weight = torch.load(path, weights_only=False)['state_dict']['vit.patch_embed.proj.weight']
    content[content.index(weight.numpy().tobytes())] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b'')


@pytest.fixture(scope='module')
def two_epochs(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    run(photos, folder, epochs=2)
    return folder


def resumed_from(photos, folder, **changes) -> tuple[str, list[str]]:
    """The checkpoint that a run with ``resume=True`` goes on from, and its warnings."""
    cfg = pretraining(photos, folder, dict(type='NoteRates'), total_batch_size=4, base_lr=0.1, resume=True)
    cfg.optim_wrapper.optimizer.pop('lr')
    runner = StrictRunner.from_cfg(cfg)
    with (
        mock.patch.object(runner.logger, 'warning') as warning,
        mock.patch.object(runner, 'resume', side_effect=InterruptedError) as resume,
    ):
        try:
            runner.train()
        except InterruptedError:
            pass
    name = Path(resume.call_args.args[0]).name if resume.called else 'none'
    return name, [call.args[0] for call in warning.call_args_list if 'checkpoint' in call.args[0]]


@pytest.mark.parametrize('damage', [cut, flip_a_bit, empty])
def test_the_one_before_a_damaged_checkpoint_is_used_and_the_damaged_one_named(photos, two_epochs, tmp_path, damage):
    shutil.copytree(two_epochs, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / 'epoch_2.pth')
    name, (warned,) = resumed_from(photos, tmp_path)
    assert name == 'epoch_1.pth'
    assert re.search("epoch_2.pth' is damaged.*: the checkpoint before it is used", warned) and '\n' not in warned


def test_a_checkpoint_that_is_named_but_gone_is_passed_over(photos, two_epochs, tmp_path):
    shutil.copytree(two_epochs, tmp_path, dirs_exist_ok=True)
    (tmp_path / 'epoch_2.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    assert resumed_from(photos, tmp_path) == ('epoch_1.pth', [])


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew(photos, two_epochs, tmp_path):
    shutil.copytree(two_epochs, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob('*.pth'):
        cut(path)
    with pytest.raises(
        UserError, match='none of the 2 checkpoints in .* can be read, epoch_2.pth is the newest: remove'
    ):
        resumed_from(photos, tmp_path)


def test_without_a_checkpoint_a_run_starts(photos, tmp_path):
    assert resumed_from(photos, tmp_path) == ('none', [])


# --- places within an epoch -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'there, here, place',
    [
        (dict(epoch=2, iter=23, epoch_length=10, accumulation=1), (10, 1), 23),
        (dict(epoch=2, iter=23, epoch_length=10, accumulation=1), (20, 2), 46),  # on half the processes
        (dict(epoch=2, iter=46, epoch_length=20, accumulation=2), (10, 1), 23),
        (dict(epoch=2, iter=17, epoch_length=7, accumulation=1), (15, 2), 36),  # 3 steps into an epoch of 7.5
    ],
)
def test_another_number_of_processes_goes_on_with_the_next_batch_of_all(there, here, place):
    loop = mock.Mock(spec=EpochBasedTrainLoop, max_epochs=9)
    checkpoint = dict(meta=there, message_hub={}, optimizer={})
    assert find_place(checkpoint, 'file', loop, *here)[:2] == (2, place)
