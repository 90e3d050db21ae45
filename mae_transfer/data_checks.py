"""Does the data of a config exist, and do its classes and the model's agree? Before anything is built."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS

from .data import check_same_classes
from .data.photos.image_dataset import ImageDataset
from .data.photos.loaders import dataset_settings
from .errors import UserError
from .kinds import class_of, data_loaders, data_sets, is_kind
from .paths import user_path, why_missing


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
                        f'{_advice(loader, key, path)}'
                    )
                if path.is_dir() and not any(path.iterdir()):
                    place = f'{loader}.dataset.data_prefix.{key}' if key else 'data_root'
                    raise UserError(f'{loader}: folder {path} is empty: fill it, or name another by {place}=FOLDER')
            if not isinstance(dataset.get('ann_file') or '', (str, os.PathLike)):
                raise UserError(f'{loader}: ann_file is one file, not {dataset["ann_file"]!r}: give several data_root')
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


def _advice(loader: str, key: str, path: Path) -> str:
    """What else may be meant by a path that does not exist, as the end of a message."""
    if key != 'seg_map_path' or loader == 'train_dataloader':
        return why_missing(path)
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
