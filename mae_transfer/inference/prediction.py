"""Predictions of a trained model for any images, written to a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch

from ..calls import python_call
from ..errors import UserError, is_number, is_whole, shorten
from ..outputs import output_file, output_folder
from ..paths import shown
from ..progress import progress
from ..whole_files import written_whole
from .class_images import ClassImages
from .photos import Images, check_apart, find_images
from .predicted_images import ImageSource, Predictions
from .tiles import check_tiling
from .trained import Trained, loaded
from .writers import Wanted, written


@dataclass(frozen=True)
class PredictionResult:
    """What was predicted, and where it is.

    Attributes:
        task: 'detect', 'segment' or 'classify'.
        out: the folder of all results.
        predictions: ``predictions.json``, the folder ``label_maps`` with ``classes.json`` beside it, or ``scores.csv``.
        pictures: the folder of the pictures; None for none.
        images: how many images were predicted.
        count: objects, label maps, or lines of the table.
        skipped: the images that could not be read, with the reasons; also in ``skipped_images.txt``.
        seconds: of reading, predicting and writing.
    """

    task: str
    out: Path
    predictions: Path
    pictures: Path | None
    images: int
    count: int
    skipped: tuple[str, ...]
    seconds: float


@python_call
def predict(
    model: Trained | str | os.PathLike,
    images: Images,
    out: str | Path,
    *,
    tile: int | None = None,
    overlap: float = 0.25,
    score: float | None = None,
    classes: str | Sequence[str] | None = None,
    batch_size: int = 1,
    device: str | torch.device | None = None,
    pictures: bool = True,
    top: int = 5,
    verbose: bool = False,
) -> PredictionResult:
    """Predict images of any size, which need no annotations, and write what is found.

    Images are read and prepared as by the test pipeline of the run, so that what is written evaluates to the numbers of
    tools/test.py.

    Args:
        model: what :func:`~mae_transfer.inference.trained.load` gives, or takes.
        images: a folder, searched at any depth; an image; a list file; a tar file; or a list of folders and images.
        out: folder of the results; files of the same names are replaced, each at once.
        tile: side of tiles in pixels, for objects that are small in large images: see
            :mod:`~mae_transfer.inference.tiles`. None: whole images.
        overlap: share of a tile that its neighbour sees, too.
        score: the lowest score of the objects, or classes, that are written. None: all that the model gives; pictures
            show objects from .3 on.
        classes: names of the classes that are written; None for all.
        batch_size: images, or tiles, of one size that are predicted together; results do not depend on it but for
            rounding.
        device: for a model that is not loaded yet.
        pictures: whether to draw detected objects and label maps over the images.
        top: classes of each image that a classifier's table has.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).

    Raises:
        UserError: what ``load`` raises; a model of another task; impossible settings; no image, or none that can be
            read; a folder that cannot be written to.
    """
    check_tiling(tile, overlap)
    for name, number in (('batch_size', batch_size), ('top', top)):
        if not is_whole(number, 1):
            raise UserError(f'{name} is a whole number, 1 or more; found {number!r}')
    if score is not None and not (is_number(score) and 0 <= score <= 1):
        raise UserError(f'score is the lowest score, 0 to 1, or None; found {score!r}')
    folder = output_folder(out, 'out', create=False)
    check_apart(folder, images)
    trained = loaded(model, device)
    _check_task(trained, tile, score)
    chosen = _labels_of(classes, trained)
    source = _images_for(trained)
    files = find_images(images, source.bands)
    output_folder(folder, 'out')
    output_file(folder / 'skipped_images.txt', 'out')
    start = time.monotonic()
    found = Predictions(trained, source, files, tile, overlap, batch_size)
    with written(trained, source, folder, files.names, Wanted(pictures, score, chosen, top)) as writer:
        for index, image, predicted in progress(found, 'images predicted', len(files)):
            writer.add(index, image, predicted)
        if not found.done:
            raise UserError(f'none of the {len(files)} images can be read: {found.skipped[0]} is the first')
    _write_skipped(folder / 'skipped_images.txt', found.skipped)
    seconds = time.monotonic() - start
    return PredictionResult(
        *(trained.task, folder, writer.path, writer.pictures, found.done, writer.count, tuple(found.skipped), seconds)
    )


def _check_task(trained: Trained, tile: int | None, score: float | None) -> None:
    """Refuse a model that predicts nothing of an image, and settings that have no effect; raises ``UserError``."""
    name = shown(trained.source)
    if trained.task == 'pretrain':
        raise UserError(
            f'{name} is a pre-training, which has no classes: draw its reconstructions by mae-transfer '
            'reconstruct, or fine-tune it first'
        )
    if not trained.classes:
        raise UserError(f'{name} has no names of classes: load it with them, load(..., classes=[...])')
    if tile is not None and trained.task == 'classify':
        raise UserError('tile is for detection and segmentation: a classifier sees the middle of each image')
    if score is not None and trained.task == 'segment':
        raise UserError('score is for objects and classes of images: each pixel has its best class')
    if trained.task == 'classify' and not getattr(trained.model, 'num_classes', 1):
        raise UserError(f'{name} has no head: it is evaluated on features; fine-tune it, or train a linear probe')


def _labels_of(classes: str | Sequence[str] | None, trained: Trained) -> list[int]:
    """The labels of the classes that are asked for, all for None; raises ``UserError`` for a name that there is not."""
    names = [classes] if isinstance(classes, str) else classes
    if names is None:
        return list(range(len(trained.classes)))
    for name in names:
        if name not in trained.classes:
            close = get_close_matches(str(name), trained.classes, 1)
            advice = f"did you mean '{close[0]}'?" if close else f'it has {shorten(trained.classes)}'
            raise UserError(f"classes: the model has no class '{name}'; {advice}")
    return sorted({trained.classes.index(name) for name in names})


def _images_for(trained: Trained) -> ImageSource:
    """What reads and prepares the images."""
    if trained.task == 'classify':
        return ClassImages(trained.cfg)
    from .dense_images import DenseImages  # needs mmcv, which classification does without

    return DenseImages(trained.cfg)


def _write_skipped(path: Path, skipped: Sequence[str]) -> None:
    """Write a line for each unreadable image, or remove the list of an earlier prediction."""
    if skipped:
        with written_whole(path) as file:
            file.write(''.join(f'{line}\n' for line in skipped).encode())
    else:
        path.unlink(missing_ok=True)
