"""Detection and segmentation of the user's own classes: one setting of a config, carried to its data and heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config

from ..errors import UserError
from .palette import distinct_colours

HEADS = ('bbox_head', 'mask_head', 'mask_iou_head', 'decode_head', 'auxiliary_head')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def apply_classes(cfg: Config) -> None:
    """Carry the setting ``classes`` of a config to each data set (names and colours) and each head (``num_classes``).

    None leaves the data set's own: COCO's 80, ADE20K's 150. Configs of other models are left as they are.

    Raises:
        UserError: names that :func:`read_classes` refuses.
    """
    heads = list(_heads(cfg.get('model')))
    if cfg.get('classes') is None or not heads:
        return
    classes = read_classes(cfg.classes)
    for head in heads:
        head['num_classes'] = len(classes)
    for loader in LOADERS:
        for dataset in _data_sets((cfg.get(loader) or {}).get('dataset')):
            metainfo = dict(dataset.get('metainfo') or {}, classes=classes)
            if len(metainfo.get('palette', ())) != len(classes):
                metainfo.pop('palette', None)
                if dataset.get('type', '').rpartition('.')[2] != 'LabelledScenes':  # which has colours of its own
                    metainfo['palette'] = distinct_colours(len(classes))
            dataset['metainfo'] = metainfo


def read_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """The names that the setting ``classes`` gives.

    Args:
        classes: the names, in the order of their labels; one name; or a file with a name on each line.

    Raises:
        UserError: no name, one that is empty or given twice, a file that does not exist or is no text.
    """
    source = 'classes'
    if isinstance(classes, str):
        if Path(classes).is_file():
            source = classes
            try:
                names = Path(classes).read_text(encoding='utf-8-sig').rstrip().splitlines()
            except UnicodeDecodeError:
                raise UserError(f'classes: {classes} is no text file: give a name on each line') from None
        elif classes.endswith('.txt') or '/' in classes:
            raise UserError(
                f'classes: the file {classes} does not exist; give a file with a name on each line, or the names: '
                'classes=cat,dog'
            )
        else:
            names = classes.strip('()[]').removesuffix(',').split(',')
    else:
        names = list(classes)
    names = [str(name).strip().strip('\'"') for name in names]
    if not any(names):
        raise UserError(
            f'{source}: there is no name of a class; give e.g. classes=cat,dog, or a file with a name on each line'
        )
    if '' in names:
        raise UserError(f'{source}: name {names.index("") + 1} of {len(names)} is empty')
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: '{name}' is given {count} times; each class needs its own name")
    return tuple(names)


def _heads(node: object) -> Iterator[dict]:
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in HEADS:
            yield from (
                head for head in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(head, dict)
            )
        else:
            yield from _heads(value)


def _data_sets(node: object) -> Iterator[dict]:
    """The data sets of a config, without what is wrapped around them."""
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from _data_sets(part)
    elif isinstance(node, dict):
        inner = node.get('dataset', node.get('datasets'))
        if inner is None:
            yield node
        else:
            yield from _data_sets(inner)
