"""What a model predicts, image by image, in the order of the images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from mmengine.logging import print_log
from mmengine.runner.amp import autocast

from ..data.files.bands import Bands
from ..data.files.photo_files import PhotoFiles
from ..data.files.unreadable import UnreadableError
from ..paths import shown
from .batches import by_size
from .objects import Objects
from .tiles import Tile, join_label_maps, join_objects, tiles_of
from .trained import Trained


class ImageSource(Protocol):
    """What reads images and prepares them for a model."""

    @property
    def bands(self) -> Bands:
        """Which bands of the files the model sees."""

    def read(self, files: PhotoFiles, index: int) -> dict:
        """An image, with the entries of the data set's pipeline; raises ``UnreadableError``."""

    def prepare(self, loaded: dict, tile: Tile) -> dict:
        """What a batch is made of: ``inputs`` (C, h, w) and more, of a tile of an image."""

    def collate(self, items: list[dict]) -> dict:
        """A batch for ``model.test_step``."""


@dataclass
class _Open:
    """An image of which not all parts are predicted."""

    index: int
    loaded: dict
    shape: tuple[int, int]
    missing: int
    parts: list[tuple[Tile, Any]] = field(default_factory=list)


class Predictions:
    """Predictions image by image, in the order of the images: (index, loaded image, prediction).

    A prediction is :class:`Objects`, a label map (H, W), or scores (N,).

    Attributes:
        done: how many images were predicted so far.
        skipped: the unreadable ones, with the reasons.
    """

    def __init__(
        self,
        trained: Trained,
        source: ImageSource,
        files: PhotoFiles,
        tile: int | None,
        overlap: float,
        batch_size: int,
    ) -> None:
        self.trained, self.source, self.files = trained, source, files
        self.tile, self.overlap, self.batch_size = tile, overlap, batch_size
        self.done, self.skipped = 0, list[str]()
        self._open: dict[int, _Open] = {}

    def __iter__(self) -> Iterator[tuple[int, dict, Any]]:
        for batch in by_size(self._parts(), lambda part: tuple(part[2]['inputs'].shape), self.batch_size):
            self._run(batch)
            while self._open and not (first := next(iter(self._open.values()))).missing:
                del self._open[first.index]
                self.done += 1
                yield first.index, first.loaded, self._joined(first)

    def _parts(self) -> Iterator[tuple[int, Tile, dict]]:
        """The number of an image, a tile of it, and what a batch is made of."""
        for index in range(len(self.files)):
            try:
                image = self.source.read(self.files, index)
            except UnreadableError as error:
                name = shown(self.files.names[index])
                self.skipped.append(f'{name} ({error.reason})' if error.reason else name)
                print_log(f'unreadable image skipped: {self.skipped[-1]}', logger='current', level=logging.WARNING)
                continue
            height, width = image['img'].shape[:2] if 'img' in image else image['inputs'].shape[1:]
            tiles = tiles_of(height, width, self.tile, self.overlap)
            self._open[index] = _Open(index, image, (height, width), len(tiles))
            for tile in tiles:
                yield index, tile, self.source.prepare(image, tile)

    @torch.no_grad()
    def _run(self, batch: list[tuple[int, Tile, dict]]) -> None:
        model: Any = self.trained.model
        with autocast(
            enabled=bool((self.trained.cfg.get('test_cfg') or {}).get('fp16', False))
        ):  # as in MMEngine's loop
            outputs = model.test_step(self.source.collate([item for _, _, item in batch]))
        for (index, tile, _), output in zip(batch, outputs, strict=True):
            image = self._open[index]
            image.parts.append((tile, _prediction(self.trained.task, output, tile)))
            image.missing -= 1

    def _joined(self, image: _Open) -> Any:
        if self.trained.task == 'detect':
            return join_objects(image.parts, *image.shape)
        if self.trained.task == 'segment':
            return join_label_maps(image.parts, *image.shape)
        return image.parts[0][1]


def _prediction(task: str, output: Any, tile: Tile) -> Any:
    """What a model's output says of a tile."""
    if task == 'detect':
        return Objects.of_instances(output.pred_instances, tile.rows.start, tile.columns.start)
    if task == 'segment':
        return output.pred_sem_seg.data[0].cpu().numpy()
    return torch.softmax(output['scores'], 0).numpy()
