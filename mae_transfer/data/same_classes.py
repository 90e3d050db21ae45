"""Whether the data of training and validation and the model mean the same classes."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from .classes import class_folders, folder_labels, resolve_classes
from .corruptions import CORRUPTIONS, SEVERITIES
from .labels import find_cifar, read_source, split_folder


def check_same_classes(train: dict, val: dict, num_classes: int) -> None:
    """Compare the label spaces of two data sets and a model before any is built; of folder trees only the folders are
    read.

    Args:
        train, val: configs of :class:`~mae_transfer.data.labelled.LabelledPhotos` (``val`` also of ``ImageNetC``).
        num_classes: the model's; 0 for a model without head, which fits any.

    Raises:
        UserError: the classes differ, from each other or in number from the model's; what reading the data sets raises.
    """
    ours, theirs = _label_space(train), _label_space(val)
    count = len(ours[0])
    if ours[1] or theirs[1]:
        # Bare numbers have no names to compare, and the last ones need not occur.
        if len(theirs[0]) > count:
            raise UserError(f'val has labels up to {len(theirs[0]) - 1}, but train has {count} classes')
    elif ours[0] != theirs[0]:
        parts = [
            f'{len(only)} only in {where} ({", ".join(only[:3])}{", ..." if len(only) > 3 else ""})'
            for where, only in (
                ('train', sorted(set(ours[0]) - set(theirs[0]))),
                ('val', sorted(set(theirs[0]) - set(ours[0]))),
            )
            if only
        ]
        raise UserError(
            f'the classes of train ({count}) and val ({len(theirs[0])}) differ: '
            f'{" and ".join(parts) or "in their order"}'
        )
    if num_classes not in (0, count):
        raise UserError(
            f'the data has {count} classes, the model has num_classes={num_classes}: choose --cfg-options '
            f'model.num_classes={count}'
        )


def _label_space(dataset: dict) -> tuple[tuple[str, ...], bool]:
    """The classes of a data set's config, and whether they are bare numbers."""
    root, split = Path(dataset['data_root']), dataset.get('split', 'train')
    if str(dataset.get('type')).endswith('ImageNetC'):
        first = root / dataset.get('corruptions', CORRUPTIONS)[0] / SEVERITIES[0]
        return resolve_classes(dataset.get('classes', 'imagenet')) or tuple(class_folders(first)), False
    if dataset.get('ann_file') is None and find_cifar(root) is None:
        folder = split_folder(root / dataset.get('data_prefix', ''), split)
        classes = resolve_classes(dataset.get('classes'))
        labels = folder_labels(class_folders(folder), classes, folder)
        return classes or tuple(labels), False
    settings = {key: dataset[key] for key in ('ann_file', 'data_prefix', 'classes') if key in dataset}
    source = read_source(dataset['data_root'], split, **settings)
    return source.classes, source.numbered
