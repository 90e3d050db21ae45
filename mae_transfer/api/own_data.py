"""A user's own data, as settings of a config: its folder, its layout, its classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from ..data.photos.image_dataset import ImageDataset
from ..data.photos.loaders import dataset_settings
from ..errors import UserError
from ..kinds import class_of
from ..paths import user_path
from ..settings import Changes
from .own_classes import coco_classes, label_map_classes
from .own_layouts import coco_split, scene_changes, scene_split

Paths = str | Path | Sequence[str | Path]
#: The settings that say where the annotations of detection and segmentation are.
_PLACES = ('.dataset.ann_file', '.dataset.data_prefix', '.dataset.data_prefix.img', '.dataset.data_prefix.img_path')


def data_root(data: Paths) -> str | list[str]:
    """``data`` as a config has it."""
    if isinstance(data, (list, tuple)):
        return [os.fspath(user_path(part, 'data')) for part in data]
    return os.fspath(user_path(data, 'data'))  # type: ignore[arg-type]


def _root(data: Paths, given: Mapping[str, Any]) -> Path | None:
    """The one folder whose layout is recognised; None where the user has said where annotations are."""
    if any(key.endswith(_PLACES) for key in given):
        return None
    if isinstance(data, (list, tuple)):
        raise UserError('data of detection and segmentation is one folder with images and annotations; found several')
    return user_path(data, 'data')  # type: ignore[arg-type]


def detection_data(data: Paths, given: Mapping[str, Any], changes: Changes) -> int | None:
    """Add where images, annotations and classes are; returns how many images have annotations."""
    if (root := _root(data, given)) is None:
        return None
    train = coco_split(root, 'train')
    changes += [*train.changes('train'), *coco_split(root, 'val').changes('val')]
    if 'classes' not in given:
        changes.append(('classes', coco_classes(train.content, str(root / train.ann_file))))
    annotations = train.content.get('annotations')
    parts = annotations if isinstance(annotations, list) else []
    return len({str(part.get('image_id')) for part in parts if isinstance(part, dict)})


def segmentation_data(data: Paths, given: Mapping[str, Any], changes: Changes) -> None:
    """Add where images, label maps and classes are."""
    root = _root(data, given)
    if root is not None:
        for split in ('train', 'val'):
            changes += scene_changes(scene_split(root, split), split)
    if 'classes' not in given:
        changes.append(('classes', label_map_classes(root or user_path(data, 'data'))))  # type: ignore[arg-type]


def evaluated_data(cfg: Config, data: Paths) -> Changes:
    """Where the data of an evaluation is, if it is not where the run's config says."""
    dataset = cfg.test_dataloader.dataset
    kind = class_of(dataset, DATASETS, cfg.get('default_scope'))
    if kind is None or issubclass(kind, ImageDataset) or isinstance(data, (list, tuple)):
        return []
    root = user_path(data, 'data')  # type: ignore[arg-type]
    own = [dataset.get('ann_file'), *(dataset.get('data_prefix') or {}).values()]
    if all(os.path.exists(root / part) for part in own if part):
        return []
    if dataset.get('ann_file'):
        return coco_split(root, 'val').changes('val')
    return scene_changes(scene_split(root, 'val'), 'val')


def count_photos(cfg: Config) -> int:
    """How many photos a config of pre-training or classification trains on."""
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as datasets:
        return len(datasets.build(dataset_settings(cfg.train_dataloader.dataset)))
