"""What holds for every config: a setting has one owner, what depends on it follows, a run's config gives it again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from mae_transfer.checks import check_batch_norm, check_image_sizes, check_length, check_loaders, check_settings
from mae_transfer.data.photos.loaders import loader_settings
from mae_transfer.dense.checks import check_windows
from mae_transfer.errors import UserError
from mae_transfer.kinds import class_of, data_loaders, data_sets
from mae_transfer.launch import starting_weights
from mae_transfer.optim.batch_plan import plan_of
from mae_transfer.references import followed
from mae_transfer.settings import READ, change_settings, read_config

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = sorted(path for path in CONFIGS.rglob('*.py') if path.parent.name != '_base_' and not path.name.startswith('_'))
NAMES = [str(path.relative_to(CONFIGS).with_suffix('')) for path in FILES]


@cache
def load(name: str, *options: str) -> Config:
    return read_config(CONFIGS / f'{name}.py', options)


TRAINING = [name for name in NAMES if load(name).get('train_dataloader')]
every_config = pytest.mark.parametrize('name', NAMES)
every_training = pytest.mark.parametrize('name', TRAINING)

#: {named setting: another value of it}; what it means is tested by the recipes.
OTHER = {
    'base_lr': 0.123,
    'classes': ('cat', 'dog', 'cow'),
    'crop_size': (96, 96),
    'data_root': 'other/data',
    'image_size': 64,
    'indices': [7, 5],
    'max_epochs': 4000,
    'max_iters': 400000,
    'norm_cfg': dict(type='GN', num_groups=2),
    'pretrained': 'other/vit.pth',
    'repeat': 3,
    'strides': [8, 16, 32, 64],
    'total_batch_size': 64,
    'warmup': 0.01,
    'width': 96,
}


def leaves(node: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    """All values of a config by their dotted keys; tuples are values."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None or not node:
        yield place, node
        return
    for key, child in children:
        yield from leaves(child, f'{place}.{key}' if place else str(key))


def values(cfg: Config) -> dict[str, Any]:
    settings = cfg.to_dict()
    settings.pop('references', None), settings.pop('reference_values', None)
    return dict(leaves(settings))


def other_value(cfg: Config, name: str) -> Any:
    value = OTHER[name]
    if name == 'image_size' and isinstance(cfg[name], tuple):
        return value, value
    if name == 'warmup' and 'max_iters' in cfg.train_cfg:
        return 3
    return value


def planned(cfg: Config, processes: int) -> dict:
    """The plan of a run, and the settings that the runner builds by it."""
    plan = plan_of(cfg, processes)
    schedulers = cfg.get('param_scheduler') or []
    return dict(
        plan=plan,
        loop=plan.adapt_loop(cfg.train_cfg),
        wrapper=plan.adapt_optim_wrapper(cfg.optim_wrapper),
        schedulers=[plan.adapt_scheduler(part, kind_of(cfg, part)) for part in schedulers],
        loaders={name: loader_settings(loader) for name, loader in data_loaders(cfg).items()},
    )


def kind_of(cfg: Config, scheduler: dict) -> type:
    return class_of(scheduler, PARAM_SCHEDULERS, cfg.default_scope)


# --- one owner for each setting ---------------------------------------------------------------------------------------
@every_config
def test_every_setting_at_the_top_is_followed_everywhere_and_changes_nothing_else(name):
    cfg = load(name)
    before = values(cfg)
    named = [key for key in cfg if key in OTHER and cfg.get('references', {}).get(key) is None]
    assert named, 'a config without a named setting'
    for key in named:
        value = other_value(cfg, key)
        after = values(change_settings(cfg, [(key, value)]))
        changed = {place for place in {**before, **after} if before.get(place, ...) != after.get(place, ...)}
        # What changed follows the setting, on whatever way, or is its value.
        followers = {place for place in cfg.references if depends(cfg, place, key)}
        for place in changed:
            assert place.startswith(key) or any((place + '.').startswith(f'{one}.') for one in followers), (key, place)
        if key not in (
            'warmup',
            'indices',
            'strides',
            'width',
            'norm_cfg',
            'repeat',
        ):  # which have values that others have, too
            stale = [place for place, found in after.items() if found == cfg[key] and found and place in changed]
            assert not stale, f'{key} is changed, but still has its old value in {stale}'
        if key in ('data_root', 'pretrained') and cfg[key] not in (None, 'none'):
            assert not [place for place, found in after.items() if isinstance(found, str) and cfg[key] in found]


def depends(cfg: Config, place: str, key: str, seen: frozenset = frozenset()) -> bool:
    """Whether a reference follows a top-level setting, by way of others."""
    text = cfg.references[place]
    if key in followed({'x': text}):
        return True
    ways = [one for one in cfg.references if one not in seen and one != place and one in text]
    return any(depends(cfg, one, key, seen | {place}) for one in ways)


@every_training
def test_gradients_of_ddp_are_views_and_unused_parameters_are_found_where_that_is_asked(name):
    wrapper = load(name, 'find_unused_parameters=True').model_wrapper_cfg
    if wrapper.type == 'MMDistributedDataParallel':
        assert wrapper.gradient_as_bucket_view and wrapper.find_unused_parameters and not wrapper.broadcast_buffers
    else:
        assert wrapper.type == 'mae_transfer.FullyShardedModel'


@every_config
def test_nothing_at_the_top_is_left_unread(name):
    cfg = load(name)
    followed_names = ' '.join(cfg.get('references', {}).values())
    unread = [
        key
        for key in cfg
        if key not in READ
        and key not in ('references', 'reference_values', 'custom_imports', 'published', 'log_level')
        and key not in followed_names
    ]
    assert unread == []


@every_config
def test_the_config_of_a_run_gives_the_run_again(name, tmp_path):
    total = 8 * load(name).train_dataloader.batch_size if name in TRAINING else 0
    options = ['data_root=elsewhere', *([f'total_batch_size={total}'] if total else [])]
    cfg = load(name, *options)
    cfg.dump(tmp_path / 'dumped.py')
    again = read_config(tmp_path / 'dumped.py')
    assert again.to_dict() == cfg.to_dict()
    changes = ['data_root=moved', *(['base_lr=.5'] if name in TRAINING else [])]
    assert change_settings(again, changes).to_dict() == load(name, *options, *changes).to_dict()
    if name in TRAINING:
        for processes in (1, 2):
            before = cfg.to_dict()
            assert planned(again, processes) == planned(cfg, processes)
            assert cfg.to_dict() == before, 'planning changed the config'


# --- the length of a run ----------------------------------------------------------------------------------------------
def rates(cfg: Config, epoch_length: int = 7) -> list[float]:
    """The rate of each iteration of one process, as MMEngine builds and steps the schedule."""
    plan = planned(cfg, 1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    optimizer.step()
    by_iteration = 'max_iters' in plan['loop']
    length = plan['loop']['max_iters'] if by_iteration else plan['loop']['max_epochs'] * epoch_length
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        schedulers = [
            PARAM_SCHEDULERS.build(
                dict(dict(end=plan['loop']['max_epochs'] if settings['by_epoch'] else length), **settings),
                default_args=dict(optimizer=optimizer, epoch_length=epoch_length),
            )
            for settings in plan['schedulers']
        ]
    found = []
    for _ in range(length):
        found.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    return found


@every_training
@pytest.mark.parametrize('where', ['top', 'loop'])
def test_schedule_and_intervals_follow_the_length(name, where):
    unit = 'max_iters' if 'max_iters' in load(name).train_cfg else 'max_epochs'
    key = unit if where == 'top' else f'train_cfg.{unit}'
    for length in (12, 60):
        options = (f'{key}={length}', f'total_batch_size={load(name).train_dataloader.batch_size}')
        cfg = load(name, *options, *(() if load(name).references.get('warmup') else ('warmup=2',)))
        check_length(cfg)
        assert cfg.train_cfg[unit] == length
        assert 1 <= cfg.train_cfg.val_interval <= length
        for hook in filter(None, cfg.default_hooks.values()):
            assert hook.get('interval', 1) <= max(length, 50), hook  # 50: of logs and the guard of losses
        assert 1 <= cfg.default_hooks.checkpoint.interval <= length
        if length == 12:
            found = rates(cfg)
            assert max(found) == pytest.approx(1, abs=0.02 if unit == 'max_epochs' else 0.15), 'never at the full rate'
            assert found[-1] < 0.11, 'the schedule does not end with the run'


@every_training
def test_a_warm_up_that_does_not_fit_is_refused_with_what_would(name):
    cfg = load(name)
    if cfg.references.get('warmup'):
        return  # it is a share of the run
    unit = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    length = int(cfg.warmup) or 1
    short = change_settings(cfg, [(unit, length), *([('warmup', 2)] if cfg.warmup < 1 else [])])
    with pytest.raises(UserError, match=f'^warmup=.* does not fit into the run of {length} .*e.g. warmup=') as caught:
        check_length(short)
    advised = str(caught.value).rpartition('=')[2]
    if length > 1:
        check_length(change_settings(short, [f'warmup={advised}']))


# --- settings and numbers that cannot be ------------------------------------------------------------------------------
@every_config
def test_every_setting_exists(name):
    check_settings(load(name))


def checked(cfg: Config) -> None:
    """All checks but those of data."""
    check_loaders(cfg, 'train', 'val', 'test')
    check_image_sizes(cfg, 'train', 'val', 'test')
    check_windows(cfg)
    if cfg.get('train_dataloader'):
        plan_of(cfg, 1)
        check_length(cfg)
        check_batch_norm(cfg, 1)


@every_config
def test_numbers_that_cannot_be_are_refused_in_one_line(name):
    cfg = load(name)
    checked(cfg)
    wrong = [
        (f'{loader}.{key}', bad)
        for loader in data_loaders(cfg)
        for key, bad in (('batch_size', 0), ('batch_size', 2.5), ('num_workers', -1), ('num_workers', 'many'))
    ]
    if name in TRAINING:
        unit = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
        wrong += [
            (unit, 0),
            (unit, -3),
            (f'train_cfg.{unit}', 2.5),
            ('train_cfg.val_interval', 0),
            ('base_lr', 'fast'),
            ('total_batch_size', 0),
            ('default_hooks.checkpoint.interval', 0),
            ('warmup', 10**9),
            ('warmup', -1),
        ]
    if isinstance(cfg.model.get('vit'), dict):
        wrong += [('image_size', 97), ('model.vit.arch', '10x2x3')]
    if 'crop_size' in cfg and cfg.model.test_cfg.mode == 'slide':
        wrong += [('model.test_cfg.stride', (10**4, 10**4)), ('model.test_cfg.mode', 'slid')]
    if 'batch_norm' in cfg.model:
        wrong += [('train_dataloader.batch_size', 1)]
    for key, bad in wrong:
        with pytest.raises(UserError) as caught:
            checked(change_settings(cfg, [(key, bad)]))
        assert '\n' not in str(caught.value)


@every_config
def test_without_workers_none_are_kept(name):
    cfg = load(name)
    for key in data_loaders(cfg):
        loader = change_settings(cfg, [(f'{key}.num_workers', 0)])
        for part in key.split('.'):
            loader = loader[part]
        assert 'persistent_workers' not in loader_settings(loader)


# --- weights to start from --------------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', [name for name in NAMES if 'pretrained' in load(name)])
def test_none_of_both_kinds_is_no_weights(name):
    cfg = load(name)
    (place,) = (place for place, text in cfg.references.items() if text == '${pretrained}')
    for changes in ([('pretrained', None)], [('pretrained', 'none')], [(place.rpartition('.')[0], None)]):
        assert not list(starting_weights(change_settings(cfg, changes).model, 'model'))
    changed = change_settings(cfg, [('pretrained', 'other.pth')])
    assert [source for _, source in starting_weights(changed.model, 'model')] == ['other.pth']


@every_config
def test_several_folders_can_stand_for_one(name):
    cfg = change_settings(
        load(name),
        [(f'{loader}.dataset.data_root', ['a', 'b']) for loader in ('train_dataloader',) if load(name).get(loader)],
    )
    if name in TRAINING:
        dataset = loader_settings(cfg.train_dataloader)['dataset']
        if dataset['type'] == 'mae_transfer.RepeatDataset':
            dataset = dataset['dataset']
        assert dataset['type'] == 'mae_transfer.ConcatDataset' and [
            part['data_root'] for part in data_sets(dataset)
        ] == ['a', 'b']
