"""Tiny data of a user's own classes, right in everything; tests put one thing wrong."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ('dog', 'traffic light')
#: The file's categories are in another order than CLASSES and than their ids, and one is not learnt.
CATEGORIES = [dict(id=7, name='traffic light'), dict(id=3, name='dog'), dict(id=5, name='cow')]
SIZES = [(70, 90), (103, 61), (64, 64)]  # width, height
#: Reads a photo and its objects.
DETECTION_PIPELINE = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.Resize', scale=(32, 32)),
    dict(type='mmdet.PackDetInputs'),
]


def photo(path: Path, size: tuple[int, int], seed: int = 0) -> None:
    """A picture of random squares of 8 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    squares = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3))
    Image.fromarray(np.kron(squares, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)).save(path)


def annotation(number: int, image: int, category: int, box: tuple, **changes) -> dict:
    """An annotation in COCO's format: a box and its lower left half as the mask."""
    x, y, width, height = box
    return {
        **dict(
            id=number,
            image_id=image,
            category_id=category,
            bbox=list(box),
            area=width * height / 2,
            iscrowd=0,
            segmentation=[[x, y, x, y + height, x + width, y + height]],
        ),
        **changes,
    }


def coco_content(count: int = 3) -> dict:
    """Images 10, 11, ... with a dog and a traffic light each, the last with a cow as well."""
    images = [dict(id=10 + i, file_name=f'{i}.jpg', width=w, height=h) for i, (w, h) in enumerate(SIZES[:count])]
    annotations = []
    for image in images:
        for category, box in ((3, (4, 6, 28, 30)), (7, (30, 20, 25, 36))):
            annotations.append(annotation(len(annotations) + 1, image['id'], category, box))
    annotations.append(annotation(len(annotations) + 1, images[-1]['id'], 5, (40, 2, 20, 18)))
    return dict(images=images, annotations=annotations, categories=[dict(category) for category in CATEGORIES])


def write_coco(
    root: Path,
    folders: tuple[str, str] = ('train2017', 'val2017'),
    files: tuple[str, str] = ('annotations/instances_train2017.json', 'annotations/instances_val2017.json'),
) -> Path:
    """Three images to train and two to judge, in COCO 2017's layout or another."""
    for folder, file, count in zip(folders, files, (3, 2)):
        content = coco_content(count)
        for seed, image in enumerate(content['images']):
            photo(root / folder / image['file_name'], (image['width'], image['height']), seed)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(json.dumps(content))
    return root


def label_map(path: Path, size: tuple[int, int], high: int = 2, seed: int = 0) -> None:
    """Labels 0..high in squares of 16 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    squares = np.random.default_rng(seed).integers(0, high + 1, (-(-height // 16), -(-width // 16)))
    Image.fromarray(np.kron(squares, np.ones((16, 16)))[:height, :width].astype(np.uint8)).save(path)


def write_scenes(
    root: Path,
    images: str = 'images/{}',
    labels: str = 'annotations/{}',
    splits: tuple[str, str] = ('training', 'validation'),
    suffix: str = '.jpg',
) -> Path:
    """Three images to train and two to judge with their label maps of two classes, in ADE20K's layout or another."""
    for split, count in zip(splits, (3, 2)):
        for i, size in enumerate(SIZES[:count]):
            photo(root / images.format(split) / f'{i}{suffix}', size, i)
            label_map(root / labels.format(split) / f'{i}.png', size, seed=i)
    return root
