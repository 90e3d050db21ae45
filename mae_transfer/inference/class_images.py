"""Images for a classifier: as the test data of its run are read and cropped."""

from __future__ import annotations

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from ..data.files.bands import Bands
from ..data.files.photo_files import PhotoFiles, ShardPhotos
from ..data.photos.image_dataset import MAX_PIXELS, pixel_limit
from ..data.photos.labelled import LabelledImages, collate_labelled
from ..data.photos.source import Source
from ..errors import UserError
from ..kinds import class_of, data_sets
from .tiles import Tile


class ClassImages:
    """Reads and crops images as the test data set of a run does.

    Args:
        cfg: of the run.

    Raises:
        UserError: no test data of labelled photos.
    """

    def __init__(self, cfg: Config) -> None:
        dataset = next(data_sets((cfg.get('test_dataloader') or {}).get('dataset') or ()), {})
        kind = class_of(dataset, DATASETS, cfg.get('default_scope')) if dataset else None
        if not (isinstance(kind, type) and issubclass(kind, LabelledImages)):
            raise UserError(
                'the config of the run has no test_dataloader.dataset of labelled photos, by which images are prepared'
            )
        self._settings = {
            name: dataset[name] for name in ('img_size', 'transform', 'bands', 'exif_orientation') if name in dataset
        }
        self._max_pixels = pixel_limit(dataset.get('max_pixels', MAX_PIXELS))
        self._dataset: LabelledImages | None = None

    @property
    def bands(self) -> Bands:
        """Which bands of the files the model sees."""
        return self._settings.get('bands', 'RGB')

    def read(self, files: PhotoFiles, index: int) -> dict:
        """The item of an image, cropped; raises ``UnreadableError``."""
        if self._dataset is None:
            self._dataset = self._dataset_of(files)
        return self._dataset.own_item(index)

    def prepare(self, loaded: dict, tile: Tile) -> dict:
        """The item itself: a classifier sees a crop of the whole image."""
        return loaded

    def _dataset_of(self, files: PhotoFiles) -> LabelledImages:
        shards = files if isinstance(files, ShardPhotos) else None
        source = Source(
            files.root, list(files.names), np.zeros(len(files), np.int64), ('unknown',), (0,), shards=shards
        )
        dataset = LabelledImages(source, training=False, skip_unreadable=True, **self._settings)
        dataset.max_pixels = self._max_pixels
        return dataset

    @staticmethod
    def collate(items: list[dict]) -> dict:
        """The batch of items."""
        return collate_labelled(items)
