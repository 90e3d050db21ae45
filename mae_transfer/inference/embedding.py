"""Images to vectors: by the ViT of a run, or by a ViT of any project."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch.utils.data import DataLoader

from ..calls import python_call
from ..classify.features import encoded_batches
from ..data.files.bands import Bands
from ..data.files.photo_files import PhotoFiles
from ..errors import UserError, is_whole, own_line
from ..hooks.skipped_images import skipped_summary
from ..paths import shown
from ..progress import Progress
from ..runs.fingerprint import digest
from ..vit.patches import patch_grid
from .embedding_map import EmbeddingMap, draw_map, map_of
from .embedding_parts import Part, Parts
from .embedding_table import EmbeddingTable, check_out
from .encoder import Encoder, check_pool, encoder_of_bare, encoder_of_trained
from .models import model_of
from .neighbours import Neighbours, Query, draw_nearest, find_nearest
from .numbered_photos import NumberedPhotos, collate_numbered
from .photos import Images, find_images
from .trained import Trained, usable_device

#: Images of a part: what a run that is killed loses at most.
PART_IMAGES = 1024


class Embeddings(EmbeddingTable):
    """One vector for each of N images, which can be searched and drawn; the attributes are those of the base class."""

    def nearest(self, query: Query = None, k: int = 5) -> Neighbours:
        """The nearest images by cosine similarity; see :func:`~mae_transfer.inference.neighbours.find_nearest`."""
        return find_nearest(self, query, k)

    def picture_of_nearest(self, path: str | Path, query: Query = None, k: int = 5) -> Path:
        """Draw images and those nearest to them; see :func:`~mae_transfer.inference.neighbours.draw_nearest`."""
        return draw_nearest(self, path, query, k)

    def map(self, path: str | Path | None = None, method: str = 'pca', show: str | None = None) -> EmbeddingMap:
        """The images on a plane; see :func:`~mae_transfer.inference.embedding_map.map_of`."""
        found = map_of(self, method)
        if path is not None:
            draw_map(self, found, path, show)
        return found


@python_call
def embed(
    model: Trained | str | os.PathLike,
    images: Images,
    out: str | Path | None = None,
    *,
    pool: str = 'patches',
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
    device: str | torch.device | None = None,
    dtype: str = 'float32',
    exif_orientation: bool | None = None,
    resume: bool = True,
    overwrite: bool = False,
    arch: Any = None,
    init: str | None = None,
    design: Any = None,
    weights_key: str | None = None,
    source_grid: tuple[int, int] | None = None,
    bands: Bands | None = None,
    mean: Any = None,
    std: Any = None,
    verbose: bool = False,
) -> Embeddings:
    """One vector for each image: the mean of the patches, or the class token (:class:`~.encoder.Encoder`).

    Images are the centre crops of k-NN's evaluation (:class:`~.numbered_photos.NumberedPhotos`). Unreadable ones are
    left out, counted and named. With ``out``, embeddings are stored in parts of 1024 images in the folder
    ``OUT.parts``; the same call after a run that was killed goes on at the part where it stood, and gives the same
    bytes; other weights, settings or names of images are refused. The folder is removed when ``out`` is there.

    Args:
        model: what :func:`~mae_transfer.inference.trained.load` gave or takes: a work_dir, or a checkpoint of a run. Or
            the weights of a ViT alone, a file or folder of official MAE, timm, transformers or another known layout.
        images: a folder, searched at any depth; an image; a list file; a list of folders and images; or a tar file, or
            a folder of them (docs/own_data.md). Folders of splits count as any others.
        out: file to write, '.npz' or '.csv' (:meth:`~.embedding_table.EmbeddingTable.save`).
        pool: 'patches' or 'class'.
        image_size: side, or (height, width), of the crops; None: that of the ViT's positions.
        batch_size: images at once. Vectors for another batch size, or on another device, differ by the rounding of
            float32 (docs/embed.md).
        num_workers: processes that read images; vectors do not depend on it.
        device: 'cpu', 'cuda', ...; None for a GPU if there is one.
        dtype: autocast type of the ViT: 'float32' for none, 'bfloat16' or 'float16'. Vectors are float32.
        exif_orientation: whether images are turned as their EXIF orientation says; None: as the run does, or not.
        resume: False deletes parts of an earlier run.
        overwrite: whether ``out`` may exist.
        arch, init, design, weights_key, source_grid, bands, mean, std: of a ViT alone, see
            :func:`~.bare_vit.read_bare_vit`. If one is given, ``model`` is taken as such, also that of a run.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).

    Returns:
        The embeddings, in the order of the images: sorted by path in a folder, as they are in a list or in tars.

    Raises:
        UserError: no such model or images; no image that can be read; images of other bands; a class token that the
            model does not have; an unknown ``pool`` or ``dtype``; an ``out`` that exists or cannot be written; parts of
            another run.
    """
    check_pool(pool)
    for name, value, least in (('batch_size', batch_size, 1), ('num_workers', num_workers, 0)):
        if not is_whole(value, least):
            raise UserError(f'{name} is a whole number, {least} or more; found {value!r}')
    path = None if out is None else check_out(out)
    if path is not None and path.exists() and not overwrite:
        raise UserError(f"out '{shown(path)}' exists: choose another name, or overwrite=True")
    settings = dict(arch=arch, init=init, design=design, weights_key=weights_key, source_grid=source_grid)
    settings |= dict(bands=bands, mean=mean, std=std)
    chosen = model_of(model, settings, device)
    if isinstance(chosen, Trained):
        encoder, as_the_run = encoder_of_trained(chosen, pool), bool(chosen.cfg.get('exif_orientation', False))
    else:
        encoder, as_the_run = encoder_of_bare(chosen, pool).to(usable_device(device)), False
    size = _checked_size(encoder, image_size)
    turned = as_the_run if exif_orientation is None else exif_orientation
    files = find_images(images, encoder.bands)
    photos = NumberedPhotos(files, size, encoder.bands, turned)
    made_by = dict(
        encoder.described(),
        weights=digest(encoder.state_dict()),
        image_size=list(size),
        exif_orientation=turned,
        dtype=dtype,
        images=digest([files.names.text, files.names.ends]),
        part_images=PART_IMAGES,
    )
    parts = None if path is None else Parts(path, made_by, resume)
    try:
        found = list(_parts(encoder, photos, parts, batch_size, num_workers, dtype))
    except UserError as error:
        raise UserError(own_line(error)) from error
    result = _joined(found, files, dict(made_by, model=encoder.source, folder=os.path.abspath(files.root)))
    if path is not None and parts is not None:
        result.save(path)
        parts.remove()
    return result


def _checked_size(encoder: Encoder, image_size: Any) -> tuple[int, int]:
    """(height, width) of the crops; raises ``UserError`` for what does not divide into patches."""
    if image_size is None:
        return encoder.image_size
    patch = encoder.vit.patch_size
    rows, columns = patch_grid(image_size, patch, 'image_size')
    return rows * patch, columns * patch


def _parts(
    encoder: Encoder, photos: NumberedPhotos, parts: Parts | None, batch_size: int, num_workers: int, dtype: str
) -> Iterator[Part]:
    """The parts in order: those that are stored, and the others, which are computed and stored.

    A batch lies within one part, so that a part does not depend on where a run began.
    """
    starts = range(0, len(photos), PART_IMAGES)
    is_stored = [parts is not None and parts.has(number) for number in range(len(starts))]
    if parts is not None and any(is_stored):
        print_log(f'embeddings: {sum(is_stored)} of {len(starts)} parts are there from an earlier run', 'current')
    batches = [
        list(range(first, min(first + batch_size, start + PART_IMAGES, len(photos))))
        for number, start in enumerate(starts)
        if not is_stored[number]
        for first in range(start, min(start + PART_IMAGES, len(photos)), batch_size)
    ]
    loader = DataLoader(photos, batch_sampler=batches, num_workers=num_workers, collate_fn=collate_numbered)  # type: ignore[arg-type]
    encoded = encoded_batches(encoder, loader, 'the images', dtype) if batches else iter(())
    with Progress('images embedded', sum(map(len, batches))) as told:
        for number, start in enumerate(starts):
            if parts is not None and is_stored[number]:
                yield parts.read(number)
                continue
            stop, taken = min(start + PART_IMAGES, len(photos)), []
            for _ in range(start, stop, batch_size):
                taken.append(batch := next(encoded))
                told(told.done + len(batch.indices))
            part = _part(taken, range(start, stop))
            if parts is not None:
                parts.write(number, part)
            yield part


def _part(taken: Sequence[Any], places: range) -> Part:
    """The embeddings of the images at ``places``, in their order, of batches."""
    rows: dict[int, np.ndarray] = {}
    for batch in taken:
        rows.update(zip(batch.indices.tolist(), batch.values.numpy()))
    kept = [index for index in sorted(rows) if index in places]  # others were read in place of unreadable ones
    width = taken[0].values.shape[1]
    values = np.stack([rows[index] for index in kept]) if kept else np.zeros((0, width), np.float32)
    skipped = dict.fromkeys(name for batch in taken for name in batch.skipped)
    return Part(np.array(kept, np.int64), values, np.array(list(skipped), str))


def _joined(found: Sequence[Part], files: PhotoFiles, made_by: dict[str, Any]) -> Embeddings:
    """All parts in one; raises ``UserError`` for numbers that are not finite."""
    values = np.concatenate([part.values for part in found])
    if broken := int((~np.isfinite(values).all(1)).sum()):
        raise UserError(f'embeddings of {broken} of {len(values)} images are not finite: is the checkpoint broken?')
    skipped = tuple(dict.fromkeys(str(name) for part in found for name in part.skipped))
    if line := skipped_summary(set(skipped)):
        print_log(line, 'current', level=logging.WARNING)
    names = files.names.select(np.concatenate([part.indices for part in found]))
    return Embeddings(tuple(names), values, made_by, skipped)
