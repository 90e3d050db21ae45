"""Checks of a config before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any

from mmengine import registry
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook
from mmengine.optim import LinearParamScheduler, OptimWrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from .classify import ViTClassifier
from .data_checks import check_classes, check_data
from .dense.checks import (
    check_losses,
    check_masks,
    check_order_of_classes,
    check_pooled_batch,
    check_softmax,
    check_windows,
)
from .errors import UserError, is_whole
from .image_size_checks import check_image_sizes, owner_of
from .kinds import class_of, data_loaders, is_kind, takes
from .optim.batch_plan import counts_epochs, is_auto, possible_batches
from .pretraining import MoCoV3
from .settings import READ, change_settings


def check_config(cfg: Config, *purposes: str, processes: int = 1) -> None:
    """Find settings that do not exist, impossible numbers and missing data.

    Args:
        purposes: 'train', 'val', 'test'.
        processes: number of processes that train together.

    Raises:
        UserError: one line for the first of them.
    """
    check_parts(cfg, *purposes)
    check_settings(cfg)
    if 'train' in purposes and is_auto(cfg):
        cfg = with_batch(cfg, allowed_batches(cfg, processes)[-1])
    check_loaders(cfg, *purposes)
    check_image_sizes(cfg, *purposes)
    check_windows(cfg)
    check_masks(cfg, *purposes)
    check_order_of_classes(cfg, *purposes)
    if 'train' in purposes:
        check_length(cfg)
        check_batch_norm(cfg, processes)
        check_softmax(cfg)
        check_losses(cfg)
    check_data(cfg, *purposes)
    if 'train' in purposes:
        check_classes(cfg)


def check_parts(cfg: Config, *purposes: str) -> None:
    """Refuse a config without the parts of a run, and an impossible seed; raises ``UserError``."""
    needed = ['model', *(f'{purpose}_dataloader' for purpose in purposes if purpose != 'val')]
    if missing := [part for part in needed if not isinstance(cfg.get(part), Mapping)]:
        raise UserError(f'{cfg.filename} is no config of a run, as it has no {", ".join(missing)}: start from configs/')
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if hook is not None and not isinstance(hook, Mapping):
            raise UserError(f'default_hooks.{name} is a hook, dict(type=...), or None for none; found {hook}')
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not (is_whole(seed, 0) and seed < 2**32):
        raise UserError(f'randomness.seed is a whole number from 0 to 4294967295, or None; found {seed}')


#: The registries whose classes are called with every setting that a config has for them.
_REGISTRIES = [
    getattr(registry, name)
    for name in (
        *('DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'METRICS', 'MODELS', 'MODEL_WRAPPERS', 'OPTIMIZERS'),
        *('OPTIM_WRAPPERS', 'PARAM_SCHEDULERS', 'TASK_UTILS', 'TRANSFORMS'),
    )
]
#: Settings that are taken out before the class is called: by registries, the Runner and mmcv's norms; by a TokenTarget
#: for its tokenizer; by MMDetection's DETR for its loss.
_OF_BUILDERS = (
    *('type', '_scope_', 'priority', 'convert_to_iter_based', 'constructor', 'paramwise_cfg', 'requires_grad'),
    *('checkpoint', 'bg_cls_weight'),
)
#: Settings of data loaders that are whole numbers: the least, and what is counted.
_NUMBERS_OF_LOADERS = (
    ('batch_size', 1, 'images'),
    ('num_workers', 0, 'processes'),
    ('repeat', 1, 'passes over the data in an epoch'),
)
_OF_LOADERS = (
    'repeat',
    'num_batch_per_epoch',
    'disable_subprocess_warning',
    *signature(DataLoader.__init__).parameters,
)


def check_settings(cfg: Config) -> None:
    """Refuse settings that the class they are for does not have; raises ``UserError``."""
    scope = cfg.get('default_scope')
    for place, settings in _typed({name: value for name, value in cfg.to_dict().items() if name in READ}):
        kind = next((kind for registry in _REGISTRIES if (kind := class_of(settings, registry, scope))), None)
        # Layers of torch and mmcv are built by functions that take settings of their own.
        is_layer = isinstance(kind, type) and kind.__module__.partition('.')[0] in ('torch', 'mmcv')
        if isinstance(kind, type) and (not is_layer or issubclass(kind, Optimizer)):
            if (parameters := _all_parameters(kind)) is not None:
                _check_names(place, settings, kind.__name__, (*parameters, *_OF_BUILDERS))
    for place, loader in data_loaders(cfg).items():
        _check_names(place, loader, 'DataLoader', _OF_LOADERS)


def _all_parameters(kind: type) -> set[str] | None:
    """The settings of a class; None where they cannot be told, as it passes others on.

    A data set, metric, checkpoint hook or optimiser's wrapper passes others to the class that it derives from, so that
    they can be told.
    """
    names: set[str] = set()
    passes_on = issubclass(kind, (BaseDataset, BaseMetric, CheckpointHook, OptimWrapper))
    for parent in kind.__mro__ if passes_on else (kind,):
        if passes_on and '__init__' not in vars(parent):
            continue
        parameters = signature(parent).parameters
        names |= {*parameters}
        # Others of MMEngine's CheckpointHook are for its own way of writing, which is not ours.
        takes_others = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
        if not takes_others or parent is CheckpointHook:
            return names
    return None


def _typed(node: Any, place: str = '') -> Iterator[tuple[str, Mapping]]:
    """The dictionaries that name a type, by their dotted keys."""
    if isinstance(node, Mapping) and isinstance(node.get('type'), str):
        yield place, node
    for key, child in node.items() if isinstance(node, Mapping) else enumerate(node):
        if isinstance(child, (Mapping, list, tuple)):
            yield from _typed(child, f'{place}.{key}' if place else str(key))


def _check_names(place: str, settings: Mapping, kind: str, known: tuple[str, ...]) -> None:
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, 1)
            advice = f'; did you mean {place}.{close[0]}?' if close else ''
            raise UserError(f"{place}.{name}: {kind} has no setting '{name}'{advice}")


def with_batch(cfg: Config, batch: int) -> Config:
    """A config with another ``train_dataloader.batch_size``."""
    return change_settings(cfg, [('train_dataloader.batch_size', batch)])


def allowed_batches(cfg: Config, processes: int) -> list[int]:
    """What ``train_dataloader.batch_size='auto'`` can become, smallest first: what divides the total batch and is not
    refused for another reason.

    Raises:
        UserError: there is none.
    """
    allowed, refusals = [], []
    for batch in possible_batches(cfg.get('total_batch_size'), processes):
        try:
            changed = with_batch(cfg, batch)
            check_loaders(changed, 'train')
            check_batch_norm(changed, processes)
        except UserError as error:
            refusals.append(error)
        else:
            allowed.append(batch)
    if not allowed:
        raise refusals[-1]
    return allowed


def check_loaders(cfg: Config, *purposes: str) -> None:
    """Refuse impossible batches and numbers of workers, mixup of an odd batch, and batches that divide the crops of a
    photo; raises ``UserError``."""
    for name, loader in data_loaders(cfg).items():
        if not name.startswith(purposes):
            continue
        for key, least, what in _NUMBERS_OF_LOADERS:
            number = loader.get(key, 1)
            if not is_whole(number, least):
                raise UserError(f'{name}.{key} is a whole number of {what}, {least} or more; found {number}')
        size, repeats = loader.get('batch_size', 1), (loader.get('sampler') or {}).get('repeats', 1)
        if is_whole(repeats, 1) and size % repeats:
            raise UserError(
                f'{name}.batch_size {size} divides the {repeats} crops of a photo: choose a multiple, e.g. '
                f'{-(-size // repeats) * repeats}, or other crops_per_decode'
            )
        mixes = isinstance(cfg.model.get('data_preprocessor'), Mapping) and cfg.model.data_preprocessor.get('mixup')
        if name == 'train_dataloader' and size % 2 and mixes:
            raise UserError(
                f'mixup and cutmix pair the images of a batch: choose an even {name}.batch_size; found {size}'
            )


def check_length(cfg: Config) -> None:
    """Refuse impossible lengths of the run and of its schedule, such as a warm-up that is longer than the run.

    Raises:
        UserError: a length or an interval below 1; a part of the schedule that begins or ends outside of the run.
    """
    unit = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    hooks = {f'default_hooks.{name}': hook for name, hook in cfg.get('default_hooks', {}).items() if hook}
    for place, names in (('train_cfg', (unit, 'val_interval')), *((hook, ('interval',)) for hook in hooks)):
        settings = hooks.get(place, cfg.train_cfg)
        for name in names:
            number = settings.get(name, 1)
            if not is_whole(number, 1) and not (is_whole(number, -1) and number == -1 and place in hooks):  # -1: never
                raise UserError(f'{owner_of(cfg, f"{place}.{name}")} is a whole number, 1 or more; found {number}')
    schedulers = cfg.get('param_scheduler') or []
    for number, scheduler in enumerate(schedulers if isinstance(schedulers, list) else [schedulers]):
        kind = class_of(scheduler, PARAM_SCHEDULERS, cfg.get('default_scope'))
        if kind is not None:
            place = f'param_scheduler.{number}' if isinstance(schedulers, list) else 'param_scheduler'
            _check_scheduler(cfg, place, scheduler, kind, cfg.train_cfg[unit], unit)


def _check_scheduler(cfg: Config, place: str, settings: Mapping, kind: type, length: int, unit: str) -> None:
    if counts_epochs(settings, kind) != (unit == 'max_epochs'):
        return  # iterations of a run of epochs: how many there are is known with the data
    name = 'warmup' if takes(kind, 'warmup') else 'end'
    begin, end = settings.get('begin', 0), settings.get(name)
    if not isinstance(begin, (int, float)) or not isinstance(end, (int, float, type(None))):
        raise UserError(f'{place}: begin and {name} are numbers; found {begin} and {end}')
    late = None
    if begin >= length:
        late = 'begin'
    elif end is not None and (end > length or end == length and name == 'warmup'):
        late = name
    if late:
        owner, value = owner_of(cfg, f'{place}.{late}'), settings[late]
        example = max(2, length // 20) if unit == 'max_iters' else length // 20 or length / 20
        raise UserError(
            f'{owner}={value} of {kind.__name__} does not fit into the run of {length} {unit.removeprefix("max_")} '
            f'({owner_of(cfg, f"train_cfg.{unit}")}): a warm-up must end before the run does; choose less, e.g. '
            f'{owner}={example:g}'
        )
    # MMEngine's LinearLR reaches its end one step early; with a single step it would keep the lowest rate for ever.
    least = 0 if name == 'warmup' else begin + (2 if issubclass(kind, LinearParamScheduler) else 1)
    if end is not None and end < least:
        raise UserError(
            f'{owner_of(cfg, f"{place}.{name}")}={end}: {kind.__name__} cannot end before {least}: choose more'
        )


def check_batch_norm(cfg: Config, processes: int) -> None:
    """Refuse to train batch norm on a single value per channel, which PyTorch does in the middle of the first step.

    Raises:
        UserError: a batch of one image before the classifier's norm, or before MoCo v3's, or a head's that sees a map
            pooled to 1 x 1.
    """
    batch = cfg.train_dataloader.get('batch_size', 1)
    if (
        cfg.model.get('batch_norm')
        and is_kind(cfg.model, MODELS, cfg.get('default_scope'), ViTClassifier)
        and batch < 2
    ):
        raise UserError(
            'model.batch_norm needs two images in each process: choose train_dataloader.batch_size=2 or more '
            f'(total_batch_size stays); found {batch}'
        )
    if is_kind(cfg.model, MODELS, cfg.get('default_scope'), MoCoV3) and batch < 2:
        raise UserError(
            'MoCoV3 compares the photos of a batch, and normalises over it: choose train_dataloader.batch_size=2 or '
            f'more; found {batch}'
        )
    check_pooled_batch(cfg, processes)
