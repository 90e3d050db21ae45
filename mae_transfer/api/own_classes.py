"""The names of a user's own classes, read from the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from ..data.files.lists import read_text
from ..data.label_maps.class_names import class_names
from ..data.photos.loaders import dataset_settings
from ..errors import UserError, shorten
from ..kinds import class_of, data_sets
from ..paths import shown


def coco_classes(content: Mapping[str, Any], file: str) -> tuple[str, ...]:
    """The categories of an annotation file in the file's order.

    Left out is a category without annotations that is only the ``supercategory`` of others, as Roboflow writes one.

    Raises:
        UserError: there is no list of categories with names.
    """
    categories = content.get('categories')
    named = categories if isinstance(categories, list) else []
    if not named or not all(isinstance(one, dict) and isinstance(one.get('name'), str) for one in named):
        raise UserError(f"{file} has no list 'categories' with a 'name' in each: give classes=('dog', 'cat')")
    annotations = content.get('annotations') or []
    used = {str(one.get('category_id')) for one in annotations if isinstance(one, dict)}
    above = {one.get('supercategory') for one in named}
    kept = [one['name'] for one in named if str(one.get('id')) in used or one['name'] not in above]
    return class_names(kept or [one['name'] for one in named]) or ()


def label_map_classes(root: Path) -> tuple[str, ...]:
    """The names of the classes of label maps, from the one list beside them: ``objectInfo*.txt``, a table with the
    columns 'Idx' and 'Name' as ADE20K has it, or ``classes.txt``, one name per line.

    Raises:
        UserError: no such file, or several; a table whose numbers are not 1, 2, 3, ....
    """
    found = sorted([*root.glob('objectInfo*.txt'), *root.glob('classes.txt')])
    if len(found) != 1:
        what = f'found {shorten(file.name for file in found)}' if found else 'there is none'
        raise UserError(
            f'{shown(root)}: names of the classes are read from objectInfo*.txt or classes.txt beside the images, and '
            f"{what}: give classes=('road', 'field') in the order of the numbers in the label maps, or a file with one "
            'name per line'
        )
    if found[0].name == 'classes.txt':
        return class_names(str(found[0])) or ()
    lines = [line.split('\t') for line in read_text(found[0], 'classes', 'give one name per line') if line.strip()]
    header = [name.strip() for name in lines[0]]
    if not {'Idx', 'Name'} <= set(header) or any(len(line) != len(header) for line in lines):
        raise UserError(f"{shown(found[0])} is no table with tabs and the columns 'Idx' and 'Name': give classes=...")
    rows = [dict(zip(header, line)) for line in lines[1:]]
    numbers = [row['Idx'].strip() for row in rows]
    if numbers != [str(number) for number in range(1, len(rows) + 1)]:
        raise UserError(f'{shown(found[0])}: the numbers of its classes are not 1 to {len(rows)}: give classes=...')
    names = [row['Name'].strip() for row in rows]
    short = [name.partition(',')[0].partition(';')[0] for name in names]  # ADE20K lists synonyms
    return class_names([part if short.count(part) == 1 else name for part, name in zip(short, names)]) or ()


def photo_classes(cfg: Config) -> tuple[str, ...]:
    """The classes of the photos that a config of classification trains on: the names of their folders, or of a list.

    Raises:
        UserError: what the data set raises, e.g. for a folder without class folders.
    """
    loader = cfg.get('train_dataloader') or cfg.test_cfg.train_dataloader
    for dataset in data_sets(dataset_settings(loader.dataset)):
        kind = class_of(dataset, DATASETS, cfg.get('default_scope'))
        if kind is not None and hasattr(kind, 'label_space'):
            return tuple(kind.label_space(**dataset).classes)
    return ()
