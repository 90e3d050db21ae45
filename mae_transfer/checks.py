"""Checks of a config before anything is built from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from mmengine import registry
from mmengine.config import Config
from mmengine.optim import LinearParamScheduler
from mmengine.registry import DATASETS, MODELS, PARAM_SCHEDULERS
from torch.utils.data import DataLoader

from .classify import ViTClassifier
from .data import check_same_classes
from .data.image_dataset import ImageDataset
from .data.loaders import dataset_settings
from .dense.checks import check_pooled_batch, check_softmax, check_windows
from .errors import UserError, is_whole
from .image_size_checks import check_image_sizes, owner_of
from .kinds import class_of, data_loaders, data_sets, is_kind, takes
from .optim.batch_plan import counts_epochs
from .paths import user_path, why_missing
from .settings import READ


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
    check_loaders(cfg, *purposes)
    check_image_sizes(cfg, *purposes)
    check_windows(cfg)
    if 'train' in purposes:
        check_length(cfg)
        check_batch_norm(cfg, processes)
        check_softmax(cfg)
    check_data(cfg, *purposes)
    if 'train' in purposes:
        check_classes(cfg)


def check_parts(cfg: Config, *purposes: str) -> None:
    """Refuse a config without the parts of a run, and an impossible seed; raises ``UserError``."""
    needed = ['model', *(f'{purpose}_dataloader' for purpose in purposes if purpose != 'val')]
    if missing := [part for part in needed if not isinstance(cfg.get(part), Mapping)]:
        raise UserError(f'{cfg.filename} is no config of a run, as it has no {", ".join(missing)}: start from configs/')
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not (is_whole(seed, 0) and seed < 2**32):
        raise UserError(f'randomness.seed is a whole number from 0 to 4294967295, or None; found {seed}')


#: The registries whose classes are called with every setting that a config has for them.
_REGISTRIES = [
    getattr(registry, name)
    for name in (
        *('DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'METRICS', 'MODELS', 'OPTIM_WRAPPERS', 'PARAM_SCHEDULERS'),
        *('TASK_UTILS', 'TRANSFORMS'),
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
        if isinstance(kind, type) and kind.__module__.partition('.')[0] not in ('torch', 'mmcv'):
            parameters = signature(kind).parameters
            if all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters.values()):
                _check_names(place, settings, kind.__name__, (*parameters, *_OF_BUILDERS))
    for place, loader in data_loaders(cfg).items():
        _check_names(place, loader, 'DataLoader', _OF_LOADERS)


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


def check_loaders(cfg: Config, *purposes: str) -> None:
    """Refuse impossible batches and numbers of workers, and mixup of an odd batch; raises ``UserError``."""
    for name, loader in data_loaders(cfg).items():
        if not name.startswith(purposes):
            continue
        for key, least, what in _NUMBERS_OF_LOADERS:
            number = loader.get(key, 1)
            if not is_whole(number, least):
                raise UserError(f'{name}.{key} is a whole number of {what}, {least} or more; found {number}')
        mixes = isinstance(cfg.model.get('data_preprocessor'), Mapping) and cfg.model.data_preprocessor.get('mixup')
        if name == 'train_dataloader' and loader.get('batch_size', 1) % 2 and mixes:
            raise UserError(
                f'mixup and cutmix pair the images of a batch: choose an even {name}.batch_size; '
                f'found {loader.get("batch_size", 1)}'
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
        UserError: a batch of one image before the classifier's norm, or a head's that sees a map pooled to 1 x 1.
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
    check_pooled_batch(cfg, processes)


def check_data(cfg: Config, *purposes: str) -> None:
    """Find missing data.

    Raises:
        UserError: an annotation file, an image folder or a data root that does not exist or is empty; an evaluator
            whose annotation file is not that of the images.
    """
    for loader, settings in data_loaders(cfg).items():
        if not loader.startswith(purposes):
            continue
        for dataset in data_sets(dataset_settings(settings.get('dataset') or {})):
            root = Path('') if (given := dataset.get('data_root')) is None else user_path(given)
            _check_work_dir(cfg, dataset, root)
            prefixes = dataset.get('data_prefix') or {}
            prefixes = prefixes if isinstance(prefixes, Mapping) else {'': prefixes}
            for key, prefix in {None: '', **prefixes}.items():
                path = root / prefix if isinstance(prefix, str) else root
                if not os.path.exists(path):
                    raise UserError(
                        f'{loader}: {path} does not exist: set the data root, e.g. --cfg-options data_root=path/to/data'
                        f'{_predict_only(loader) if key == "seg_map_path" else why_missing(path)}'
                    )
                if path.is_dir() and not any(path.iterdir()):
                    place = f'{loader}.dataset.data_prefix.{key}' if key else 'data_root'
                    raise UserError(f'{loader}: folder {path} is empty: fill it, or name another by {place}=FOLDER')
            annotations = root / (dataset.get('ann_file') or '')
            if dataset.get('ann_file') and not os.path.isfile(annotations):
                raise UserError(
                    f'{loader}: annotation file {annotations} does not exist: set the data root, '
                    'e.g. --cfg-options data_root=path/to/data'
                )
            _check_evaluator(cfg, loader.replace('dataloader', 'evaluator'), annotations)


def _check_work_dir(cfg: Config, dataset: Mapping, root: Path) -> None:
    """Refuse to write a run's pictures where photos are searched: the next run would take them for photos."""
    work_dir = cfg.get('work_dir')
    if is_kind(dataset, DATASETS, cfg.get('default_scope'), ImageDataset) and work_dir and os.path.isdir(root):
        if os.path.realpath(work_dir) == os.path.realpath(root):
            raise UserError(
                f'work_dir {work_dir} is the data root, where its pictures would count as photos: choose another '
                '--work-dir'
            )


def _predict_only(loader: str) -> str:
    """What to set for images without label maps."""
    evaluator = loader.replace('dataloader', 'evaluator')
    return (
        f'; to predict images that have no label maps, set {loader}.dataset.data_prefix.seg_map_path=None '
        f'{evaluator}.format_only=True {evaluator}.output_dir=FOLDER'
    )


def _check_evaluator(cfg: Config, name: str, annotations: Path) -> None:
    evaluator = cfg.get(name) or ()
    for metric in [evaluator] if isinstance(evaluator, Mapping) else evaluator:
        if (own := metric.get('ann_file')) and annotations.is_file() and not annotations.samefile(own):
            raise UserError(f'{name}.ann_file is {own}, but the images are those of {annotations}: set both')


def check_classes(cfg: Config) -> None:
    """Refuse data whose classes are not the model's; raises as ``check_same_classes``."""
    spaces = []
    for name in ('train_dataloader', 'val_dataloader'):
        dataset = dataset_settings((cfg.get(name) or {}).get('dataset') or {})
        kinds = [(class_of(part, DATASETS, cfg.get('default_scope')), part) for part in data_sets(dataset)]
        spaces.append([kind.label_space(**part) for kind, part in kinds if kind and hasattr(kind, 'label_space')])
    for val in spaces[1]:
        for train in spaces[0]:
            check_same_classes(train, val, cfg.model.num_classes)
