"""Where a user's own data keeps its images and labels: layouts that are recognised by the names of their files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..data.coco.json_files import read_json
from ..errors import UserError, shorten
from ..paths import shown
from ..settings import Changes

#: How a split is called, the usual name first.
TRAIN, VAL = ('train', 'training'), ('val', 'valid', 'validation')
_LOADERS = {'train': ('train_dataloader',), 'val': ('val_dataloader', 'test_dataloader')}


@dataclass(frozen=True)
class CocoSplit:
    """The images of a split in COCO's format.

    Attributes:
        ann_file, images: the annotation file, and the folder of the images, below the data root.
        content: what the file holds, as it is.
    """

    ann_file: str
    images: str
    content: dict[str, Any]

    def changes(self, split: str) -> Changes:
        """The settings that name it in a config of detection."""
        return [
            change
            for loader in _LOADERS[split]
            for change in (
                (f'{loader}.dataset.ann_file', self.ann_file),
                (f'{loader}.dataset.data_prefix.img', self.images),
            )
        ]


def coco_split(root: Path, split: str) -> CocoSplit:
    """The annotation file of a split, and its images.

    Taken are, for 'train' (and 'training'; 'val', 'valid' and 'validation' alike), ``train/_annotations.coco.json``
    (Roboflow), and the one ``.json`` in ``annotations/`` or in the folder itself with 'train' in its name. Images are
    searched beside the file, then in ``train2017/``, ``images/train/``, ``train/images/``, ``train/``, ``images/``
    and the folder itself.

    Raises:
        UserError: no folder; no such file, or several; a file that is not in COCO's format; its images are elsewhere.
    """
    names = TRAIN if split == 'train' else VAL
    check_folder(root)
    found = [file for name in names if (file := root / name / '_annotations.coco.json').is_file()]
    for folder in (root / 'annotations', root):
        if not found:
            others = VAL if split == 'train' else TRAIN
            found = [file for file in sorted(folder.glob('*.json')) if _is_of(file.stem, names, others)]
        if len(found) > 1:  # COCO's folder also has captions and key points
            found = [file for file in found if 'instances' in file.stem.lower()] or found
    if len(found) != 1:
        there = sorted(path.relative_to(root) for path in found or root.glob('**/*.json'))
        seen = f'{len(found)} of that name' if found else 'none of these'
        raise UserError(
            f'{shown(root)}: looked for annotations of {split} in annotations/*{names[0]}*.json, '
            f'{names[0]}/_annotations.coco.json and *{names[0]}*.json, and found {seen} (there are: '
            f'{shorten(map(shown, there), 4) or "no .json"}): rename it, or set both '
            f'{_LOADERS[split][0]}.dataset.ann_file and .data_prefix.img'
        )
    content = read_json(str(found[0]), str(found[0]))
    return CocoSplit(str(found[0].relative_to(root)), _image_folder(root, found[0], content, names), content)


def check_folder(root: Path) -> None:
    """Refuse a data root that is no folder; raises ``UserError``."""
    if not root.is_dir():
        fault = 'is no folder' if root.exists() else 'does not exist'
        raise UserError(f'data {shown(root)} {fault}: give the folder of the images and their annotations')


def _is_of(stem: str, names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    stem = stem.lower()
    return any(name in stem for name in names) and not any(name in stem for name in others)


def _image_folder(root: Path, file: Path, content: dict[str, Any], names: tuple[str, ...]) -> str:
    """The folder of the images of an annotation file, below the root; raises ``UserError``."""
    images = content.get('images')
    first = images[0].get('file_name') if isinstance(images, list) and images and isinstance(images[0], dict) else None
    if not isinstance(first, str):
        raise UserError(
            f"{shown(file)} is not in COCO's format: it has no list 'images' with a 'file_name' in each: export it as "
            'COCO JSON'
        )
    beside = str(file.parent.relative_to(root))
    below = [form.format(name) for name in names for form in ('{}2017', 'images/{}', '{}/images', '{}')]
    places = [beside, *below, 'images/default', 'images', '.']
    for place in places:
        if (root / place / first.replace('\\', '/')).is_file():
            return place
    raise UserError(
        f'{shown(file)}: its first image, {shown(first)}, is in none of the folders {shorten(places, 8)} below '
        f'{shown(root)}: move the images there'
    )


#: Folders of images and of their label maps; {} is the split.
_SCENES = (
    ('images/{}', 'annotations/{}'),
    ('images/{}', 'labels/{}'),
    ('images/{}', 'masks/{}'),
    ('{}/images', '{}/annotations'),
    ('{}/images', '{}/labels'),
    ('{}/images', '{}/masks'),
)


def scene_split(root: Path, split: str) -> tuple[str, str]:
    """The folders of images and label maps of a split, below the root.

    Raises:
        UserError: no folder, or none of the known ones in it.
    """
    check_folder(root)
    names = TRAIN[::-1] if split == 'train' else VAL[::-1]  # ADE20K's are training and validation
    for (images, labels), name in product(_SCENES, names):
        if (root / images.format(name)).is_dir() and (root / labels.format(name)).is_dir():
            return images.format(name), labels.format(name)
    forms = shorten([f'{images} with {labels}'.format(names[0], names[0]) for images, labels in _SCENES], 3)
    raise UserError(
        f'{shown(root)}: found no images of {split} with their label maps: looked for {forms} '
        f'(or {", ".join(names[1:])}): rename the folders, or set {_LOADERS[split][0]}.dataset.data_prefix'
    )


def scene_changes(folders: tuple[str, str], split: str) -> Changes:
    """The settings that name the folders of a split in a config of segmentation."""
    prefix = dict(img_path=folders[0], seg_map_path=folders[1])
    return [(f'{loader}.dataset.data_prefix', prefix) for loader in _LOADERS[split]]
