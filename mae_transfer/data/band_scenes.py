"""Write made-up satellite scenes of thirteen bands of uint16: unlabelled ones, and labelled ones in ADE20K's layout.

    python -m mae_transfer.data.band_scenes work_dirs/bands13/scenes

writes into the given folder

    photos/00000000.tif ...                              for pre-training; none of them is a labelled scene
    images/{training,validation}/00000000.tif ...        annotations/{training,validation}/00000000.png
    scenes.json                                          the settings, the classes and their colours, the bands

Images are TIFFs (H, W, 13) of uint16 in Sentinel-2's bands and scale: reflectance x 10 000, RGB in bands (4, 3, 2). In
label maps 0 is no class and 1..7 are the classes of :mod:`~mae_transfer.data.scenes.band_painting`, of which two pairs
look the same in RGB. The same settings give the same files.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from ..progress import progress
from .scenes.band_painting import BAND_CLASSES, BAND_PALETTE, BANDS, MIN_SIZE, paint_band_scene
from .scenes.folder import SceneFolder, check_settings, run_generator

TOOL = 'mae_transfer.data.band_scenes'
VERSION = 1  # increase it when the same settings would give other images

#: {setting: folder}; the place in it is part of a scene's seed, so that no photo is a labelled scene.
_SPLITS = {'photos': 'photos', 'labelled': 'training', 'val': 'validation'}


def write_band_scenes(
    out: str | os.PathLike,
    photos: int = 2000,
    labelled: int = 64,
    val: int = 100,
    size: int = 64,
    seed: int = 0,
    force: bool = False,
) -> bool:
    """Write ``photos`` unlabelled and ``labelled`` + ``val`` labelled scenes of ``size`` pixels a side into ``out``.

    Args:
        force: replace scenes that were made with other settings. Only files that this tool wrote are removed.

    Returns:
        True if scenes were written, False if ``out`` already contained them, made with the same settings.

    Raises:
        ValueError: a setting is out of range.
        FileExistsError: ``out`` contains scenes made with other settings (unless ``force``), or data that this tool did
            not write.
    """
    settings = dict(photos=photos, labelled=labelled, val=val, size=size, seed=seed)
    check_settings(settings, MIN_SIZE)
    facts = dict(classes=BAND_CLASSES, palette=BAND_PALETTE, bands=BANDS)
    folder = SceneFolder(out, TOOL, VERSION, settings, _files, ('photos', 'images', 'annotations'), facts)
    if not folder.prepare(force):
        return False
    jobs = [(place, split, index) for place, split in enumerate(_SPLITS) for index in range(settings[split])]
    for place, split, index in progress(jobs, 'scenes written'):
        scene = paint_band_scene(np.random.default_rng([seed, place, index]), size)
        image, *label_map = (folder.out / path for path in _scene_files(split, index))
        # Without tifffile's own description and version, which would make files of the same pixels differ.
        tifffile.imwrite(
            image, scene.image, photometric='minisblack', planarconfig='contig', metadata=None, software=False
        )
        for path in label_map:
            Image.fromarray(scene.labels).save(path)
    folder.finish()
    return True


def _scene_files(split: str, index: int) -> list[Path]:
    """The image of a scene and, unless it is unlabelled, its label map."""
    folder, name = _SPLITS[split], f'{index:08d}'
    if split == 'photos':
        return [Path(folder, f'{name}.tif')]
    return [Path('images', folder, f'{name}.tif'), Path('annotations', folder, f'{name}.png')]


def _files(settings: dict[str, int]) -> Iterator[Path]:
    """Every file that a run with these settings writes, relative to its folder, except the settings themselves."""
    for split in _SPLITS:
        for index in range(settings[split]):
            yield from _scene_files(split, index)


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 if the scenes exist now, 2 after an error, one line on stderr."""
    parser = argparse.ArgumentParser(prog=f'python -m {TOOL}', description=__doc__.splitlines()[0])
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument('--photos', type=int, default=2000, help='unlabelled scenes (default: %(default)s)')
    parser.add_argument('--labelled', type=int, default=64, help='labelled training scenes (default: %(default)s)')
    parser.add_argument('--val', type=int, default=100, help='labelled validation scenes (default: %(default)s)')
    parser.add_argument('--size', type=int, default=64, help='side of a scene in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='another seed gives other scenes (default: %(default)s)')
    parser.add_argument('--force', action='store_true', help='replace scenes made with other settings')
    args = parser.parse_args(argv)
    what = f'{args.photos} photos, {args.labelled} + {args.val} labelled scenes of {args.size} px'
    return run_generator('band_scenes', partial(write_band_scenes, **vars(args)), args.out, what)


if __name__ == '__main__':
    sys.exit(main())
