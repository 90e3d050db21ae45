"""Write synthetic demo scenes in the layouts of the real data: unlabelled photos, COCO and ADE20K.

    python -m mae_transfer.data.scenes data/scenes --photos 4000 --train 96 --val 48

writes into the given folder

    photos/00000000.jpg ...                                  for pre-training; none of them is a labelled image
    coco/{train2017,val2017}/000000000001.jpg ...            coco/annotations/instances_{train,val}2017.json
    ade/images/{training,validation}/000000000001.jpg ...    ade/annotations/{training,validation}/000000000001.png
    scenes.json                                              the settings

``coco`` and ``ade`` contain the same images: in ``coco`` with instances (category id = 1 + index into
``THING_CLASSES``), in ``ade`` with semantic maps (1 + index into ``SEMANTIC_CLASSES``, 0 = other: the layout for
``reduce_zero_label=True``). The same settings give the same files with any number of workers.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ...progress import progress
from .folder import SceneFolder, check_settings, run_generator
from .objects import THING_CLASSES
from .painting import MIN_SIZE, SEMANTIC_CLASSES, SEMANTIC_PALETTE, paint_scene

TOOL = 'mae_transfer.data.scenes'
VERSION = 1  # increase it when the same settings would give other images

# Part of a scene's seed: no photo shares its random numbers with a labelled image.
_SPLIT_IDS = {'photos': 0, 'train': 1, 'val': 2}
_COCO_FOLDER = {'train': 'train2017', 'val': 'val2017'}
_ADE_FOLDER = {'train': 'training', 'val': 'validation'}


def write_scenes(
    out: str | os.PathLike,
    photos: int = 4000,
    train: int = 96,
    val: int = 48,
    size: int = 96,
    seed: int = 0,
    workers: int | None = None,
    force: bool = False,
) -> bool:
    """Write ``photos`` unlabelled and ``train`` + ``val`` labelled scenes of ``size`` x ``size`` pixels into ``out``.

    Args:
        workers: number of processes, by default one per core; it does not change the scenes.
        force: replace scenes that were made with other settings. Only files that this tool wrote are removed.

    Returns:
        True if scenes were written, False if ``out`` already contained them, made with the same settings.

    Raises:
        ValueError: a setting is out of range.
        FileExistsError: ``out`` contains scenes made with other settings (unless ``force``), or data that this tool did
            not write.
    """
    settings = dict(photos=photos, train=train, val=val, size=size, seed=seed)
    check_settings(settings, MIN_SIZE)
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise ValueError(f'workers is {workers}; it must be at least 1')

    facts = dict(thing_classes=THING_CLASSES, semantic_classes=SEMANTIC_CLASSES, semantic_palette=SEMANTIC_PALETTE)
    folder = SceneFolder(out, TOOL, VERSION, settings, _files, ('photos', 'coco', 'ade'), facts)
    if not folder.prepare(force):
        return False
    jobs = [(split, index) for split in _SPLIT_IDS for index in range(settings[split])]
    annotations: dict[str, list[list[dict]]] = {'train': [], 'val': []}
    write = partial(_write_scene, folder.out, size, seed)
    for (split, _), instances in zip(jobs, progress(_map(write, jobs, workers), 'scenes written', len(jobs))):
        if split in annotations:
            annotations[split].append(instances)
    for split, per_image in annotations.items():
        _write_coco_json(folder.out, split, per_image, size)
    folder.finish()
    return True


def coco_polygons(mask: np.ndarray) -> list[list[float]]:
    """Turn a bool mask (H, W) into COCO polygons [x0, y0, x1, y1, ...] that pycocotools decodes to the same mask."""
    zoom = 4  # findContours follows pixel centres: in the enlarged mask that loses 1/8 of a pixel, not 1/2
    large = np.kron(mask.astype(np.uint8), np.ones((zoom, zoom), np.uint8))
    contours, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour, (_, _, _, parent) in zip(contours, tree[0] if tree is not None else ()):
        if parent >= 0:
            # A polygon cannot have a hole: cut the mask through it, so that it is open to the side in both halves.
            cut = int(contour[:, 0, 0].mean()) // zoom
            left, right = mask.copy(), mask.copy()
            left[:, cut:] = False
            right[:, :cut] = False
            return coco_polygons(left) + coco_polygons(right)
    # Smoothing by 0.35 pixels and losing 1/8 is less than half a pixel, so no pixel centre changes sides.
    smooth = [cv2.approxPolyDP(contour, 0.35 * zoom, True)[:, 0] for contour in contours]
    return [((points + 0.5) / zoom).ravel().tolist() for points in smooth]


def _write_scene(out: Path, size: int, seed: int, job: tuple[str, int]) -> list[dict]:
    """Paint and write one scene; returns its COCO annotations, without ids (none for a photo)."""
    split, index = job
    scene = paint_scene(np.random.default_rng([seed, _SPLIT_IDS[split], index]), size)
    buffer = io.BytesIO()
    # Full chroma resolution: in images this small, halving it would blur the edges between two hues.
    Image.fromarray(scene.image).save(buffer, 'JPEG', quality=95, subsampling=0)
    paths = _scene_files(split, index)
    for path in paths:
        if path.suffix == '.jpg':
            (out / path).write_bytes(buffer.getvalue())
        else:
            Image.fromarray(scene.semantic).save(out / path)
    if split == 'photos':
        return []
    return [_annotation(label, mask) for label, mask in zip(scene.labels, scene.masks)]


def _annotation(label: int, mask: np.ndarray) -> dict:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return {
        'category_id': label + 1,
        'segmentation': coco_polygons(mask),
        'area': int(mask.sum()),
        'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        'iscrowd': 0,
    }


def _map(write: Callable[[tuple[str, int]], list[dict]], jobs: list, workers: int) -> Iterator[list[dict]]:
    if min(workers, len(jobs)) <= 1:
        yield from map(write, jobs)
        return
    with multiprocessing.Pool(min(workers, len(jobs)), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.imap(write, jobs, chunksize=max(1, min(32, len(jobs) // workers)))


def _write_coco_json(out: Path, split: str, per_image: list[list[dict]], size: int) -> None:
    images = [
        {'id': index + 1, 'file_name': _scene_files(split, index)[0].name, 'height': size, 'width': size, 'license': 1}
        for index in range(len(per_image))
    ]
    flat = [
        dict(annotation, image_id=index + 1) for index, instances in enumerate(per_image) for annotation in instances
    ]
    content = {
        'info': {'description': 'Made-up scenes of patterned shapes', 'version': str(VERSION), 'contributor': TOOL},
        'licenses': [{'id': 1, 'name': 'Apache License 2.0', 'url': 'https://www.apache.org/licenses/LICENSE-2.0'}],
        'images': images,
        'annotations': [dict(annotation, id=number) for number, annotation in enumerate(flat, 1)],
        'categories': [
            {'id': index + 1, 'name': name, 'supercategory': name.split()[1]}
            for index, name in enumerate(THING_CLASSES)
        ],
    }
    (out / _annotation_file(split)).write_text(json.dumps(content))


def _annotation_file(split: str) -> Path:
    return Path('coco', 'annotations', f'instances_{_COCO_FOLDER[split]}.json')


def _scene_files(split: str, index: int) -> list[Path]:
    if split == 'photos':
        return [Path('photos', f'{index:08d}.jpg')]
    stem, ade = f'{index + 1:012d}', _ADE_FOLDER[split]
    return [
        Path('coco', _COCO_FOLDER[split], f'{stem}.jpg'),
        Path('ade', 'images', ade, f'{stem}.jpg'),
        Path('ade', 'annotations', ade, f'{stem}.png'),
    ]


def _files(settings: dict) -> Iterator[Path]:
    """Every file that a run with these settings writes, relative to its folder, except the settings themselves."""
    for split in _SPLIT_IDS:
        if split != 'photos':
            yield _annotation_file(split)
        for index in range(settings[split]):
            yield from _scene_files(split, index)


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 if the scenes exist now, 2 after an error, one line on stderr."""
    parser = argparse.ArgumentParser(prog=f'python -m {TOOL}', description=__doc__.splitlines()[0])
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument('--photos', type=int, default=4000, help='unlabelled images (default: %(default)s)')
    parser.add_argument('--train', type=int, default=96, help='labelled training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=48, help='labelled validation images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=96, help='side of an image in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='another seed gives other scenes (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=None, help='processes (default: all cores)')
    parser.add_argument('--force', action='store_true', help='replace scenes made with other settings')
    args = parser.parse_args(argv)
    what = f'{args.photos} photos, {args.train} + {args.val} labelled scenes of {args.size} px'
    return run_generator('scenes', partial(write_scenes, **vars(args)), args.out, what)
