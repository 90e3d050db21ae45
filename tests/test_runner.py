"""MMEngine's runner, strict, and told by the batch plan."""

from unittest import mock

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.launch import build_runner
from mae_transfer.runner import StrictRunner
from mae_transfer.vit.weights.checkpoint import read_weights
from mae_transfer.vit.weights.source_grid import SourceGrid
from tests.helpers import photo_folder, pretraining


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'))


def without(state: dict, *prefixes: str) -> dict:
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A runner, and the config of one that would go on from its checkpoint."""
    folder = tmp_path_factory.mktemp('trained')
    photo_folder(folder / 'photos')
    cfg = pretraining(folder / 'photos', folder / 'run', train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1))
    runner = build_runner(cfg, require_all_weights=False)
    runner.train()
    return runner, folder


@pytest.mark.parametrize('complete', [True, False])
def test_the_runner_loads_what_fits(trained, tmp_path, complete):
    runner = build_runner(pretraining(trained[1] / 'photos', tmp_path), complete)
    runner.load_checkpoint(str(trained[1] / 'run' / 'epoch_1.pth'))
    for name, value in trained[0].model.state_dict().items():
        assert torch.equal(runner.model.state_dict()[name], value)


def test_a_checkpoint_states_the_grid_of_its_positions(trained):
    assert read_weights(trained[1] / 'run' / 'epoch_1.pth').grid == SourceGrid((4, 4), "the file's config")


@pytest.mark.parametrize('complete', [True, False])
def test_the_runner_refuses_what_does_not_fit(trained, tmp_path, complete):
    cfg = pretraining(trained[1] / 'photos', tmp_path)
    cfg.model.vit.arch.embed_dim = 24
    runner = build_runner(cfg, complete)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    with pytest.raises(UserError, match=r'is of another model: vit\.blocks'):
        runner.load_checkpoint(str(trained[1] / 'run' / 'epoch_1.pth'))
    assert all(torch.equal(value, before[name]) for name, value in runner.model.state_dict().items())


def test_resuming_needs_the_complete_model(trained, tmp_path):
    checkpoint = torch.load(trained[1] / 'run' / 'epoch_1.pth', weights_only=False)
    checkpoint['state_dict'] = without(checkpoint['state_dict'], 'decoder.pred')
    torch.save(checkpoint, tmp_path / 'part.pth')
    runner = build_runner(pretraining(trained[1] / 'photos', tmp_path / 'run'), require_all_weights=False)
    runner.load_checkpoint(str(tmp_path / 'part.pth'))  # as --load-from
    with pytest.raises(UserError, match='decoder.pred'):
        runner.resume(str(tmp_path / 'part.pth'))


# --- the batch plan ---------------------------------------------------------------------------------------------------
def planned(photos, work_dir, **changes):
    """A run of four photos, two at once and four a step; MMEngine's warnings of the scheduler's order are not ours."""
    cfg = pretraining(photos, work_dir, total_batch_size=4, base_lr=0.064, **changes)
    del cfg.optim_wrapper.optimizer['lr']
    return cfg


def test_what_is_built_has_the_plan_and_the_config_stays_as_it_is(photos, tmp_path):
    cfg = planned(
        photos,
        tmp_path,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=3),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.5, end=2, by_epoch=False),
            dict(type='PolyLR', begin=2, by_epoch=False),
            dict(type='WarmupCosineLR', warmup=1, by_epoch=False),
        ],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False),
            ema=dict(type='mmengine.EMAHook', momentum=0.1),
            logger=None,
        ),
    )
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    assert runner.cfg.to_dict() == cfg.to_dict()
    assert (runner.max_iters, runner.train_loop.val_interval, runner.iter) == (12, 6, 12)
    assert [(s.begin, s.end) for s in runner.param_schedulers[:2]] == [(0, 4), (4, 12)]
    assert (runner.param_schedulers[2].warmup, runner.param_schedulers[2].cosine_end) == (2, 12)
    assert runner.optim_wrapper.param_groups[0]['initial_lr'] == pytest.approx(0.001)
    average = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    assert average.ema_model.interval == 2
    # A step's weights are averaged once it is made: 6 of the 12 iterations.
    assert (
        average.ema_model.steps == 12 and sorted(file.name for file in tmp_path.glob('iter_*.pth'))[-1] == 'iter_8.pth'
    )


def test_a_config_that_a_run_wrote_gives_the_same_run(photos, tmp_path):
    loop = dict(type='IterBasedTrainLoop', max_iters=5, val_interval=5)
    first = StrictRunner.from_cfg(planned(photos, tmp_path / 'one', train_cfg=loop))
    again = StrictRunner.from_cfg(first.cfg)
    assert [runner.build_train_loop(runner._train_loop).max_iters for runner in (first, again)] == [10, 10]


# --- loaders and hooks ------------------------------------------------------------------------------------------------
def test_without_workers_none_are_kept(photos, tmp_path):
    cfg = pretraining(photos, tmp_path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=True, prefetch_factor=4)
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    for loader in (runner.train_dataloader, runner.val_dataloader):
        assert (loader.num_workers, loader.persistent_workers, loader.prefetch_factor) == (0, False, None)


def test_two_folders_of_photos_are_one_data_set(photos, tmp_path):
    other = photo_folder(tmp_path / 'other', 4)
    loader = pretraining(photos, tmp_path).train_dataloader
    loader.dataset.data_root = [str(photos), str(other)]
    assert len(StrictRunner.build_dataloader(loader).dataset) == 4 + 2  # half of each is held out


def test_fewer_images_than_a_batch_are_told(photos):
    loader = pretraining(photos, photos).train_dataloader
    loader.update(batch_size=5, drop_last=True)
    with pytest.raises(UserError, match='4 images, 4 for each process, make no batch of 5: give more, or lower'):
        StrictRunner.build_dataloader(loader)


def test_any_default_hook_can_be_left_out(photos, tmp_path):
    cfg = pretraining(photos, tmp_path)
    cfg.default_hooks.update(timer=None, mine=None)
    assert not any(type(hook).__name__ == 'IterTimerHook' for hook in StrictRunner.from_cfg(cfg).hooks)


# --- one of several processes without a GPU ---------------------------------------------------------------------------
def test_sync_bn_is_bn_and_the_line_says_how_many(tmp_path):
    from mae_transfer.compat import distributed

    lines = []
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4), nn.Sequential(nn.SyncBatchNorm(4)))
    with mock.patch.object(distributed, 'print_log', lambda line, **_: lines.append(line)):
        reverted = distributed.without_sync_bn(model, {})
        assert distributed.without_sync_bn(nn.Linear(2, 2), {}).weight.shape == (2, 2)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in reverted.modules())
    assert lines == ['No GPU: 2 SyncBN layers, which have no CPU kernel, become BN with statistics per process']
    assert reverted(torch.randn(2, 3, 5, 5)).shape == (2, 4, 5, 5)
    assert [name for name, _ in reverted.named_parameters()] == [name for name, _ in model.named_parameters()]
    with pytest.raises(UserError, match="sync_bn='torch' needs a GPU, and there is none: set sync_bn=None"):
        distributed.without_sync_bn(model, dict(sync_bn='torch'))


# --- checkpoints are data ---------------------------------------------------------------------------------------------
def test_a_runner_has_every_checkpoint_read_as_data(photos, tmp_path):
    class Runs:
        def __reduce__(self):
            return print, ('this must not be run',)

    torch.save(dict(state_dict=Runs()), tmp_path / 'runs.pth')
    StrictRunner.from_cfg(pretraining(photos, tmp_path / 'run'))
    with pytest.raises(UserError, match='refused .*runs.pth.*: reading it would run'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'runs.pth'))


def loader(photos, sampler='DefaultSampler', **settings):
    return dict(
        dict(
            batch_size=6,
            num_workers=0,
            drop_last=True,
            sampler=dict(type=sampler),
            collate_fn=dict(type='mae_transfer.collate_photos'),
            dataset=dict(type='Photos', data_root=str(photos), img_size=8, hold_out=0.5),
        ),
        **settings,
    )


@pytest.mark.parametrize('repeat, length', [(1, None), (2, 1), (3, 2)])
def test_repeated_photos_make_more_batches(photos, repeat, length):
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        if length is None:
            with pytest.raises(
                UserError, match='4 images, 4 for each process, make no batch of 6: give more, repeat=2'
            ):
                StrictRunner.build_dataloader(loader(photos, repeat=repeat))
            return
        built = StrictRunner.build_dataloader(loader(photos, repeat=repeat))
    assert len(built.dataset) == 4 * repeat and len(built) == length


def test_an_endless_sampler_fills_any_batch(photos):
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        built = StrictRunner.build_dataloader(loader(photos, 'InfiniteSampler'))
    assert next(iter(built))['inputs'].shape == (6, 3, 8, 8)


def test_a_batch_larger_than_the_data_is_a_smaller_one_where_it_is_kept(photos):
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        built = StrictRunner.build_dataloader(loader(photos, drop_last=False))
    assert [len(batch['inputs']) for batch in built] == [4]
