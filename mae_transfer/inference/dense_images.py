"""Images for a detector or a segmentor: by the test pipeline of its run, without the steps for annotations."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import TRANSFORMS

from ..data.files.bands import Bands
from ..data.files.image_reader import ImageReader
from ..data.files.load_bands import LoadBands
from ..data.files.loading import reader_of, run_pipeline
from ..data.files.photo_files import PhotoFiles
from ..data.files.unreadable import UnreadableError
from ..errors import UserError
from ..kinds import class_of, data_sets
from ..visualization.shown_bands import shown_bands
from .tiles import Tile


class DenseImages:
    """Reads images and prepares them, or tiles of them, as the test pipeline of a run does.

    Args:
        cfg: of the run.

    Raises:
        UserError: no test pipeline, or one that does not begin with an image file.
    """

    def __init__(self, cfg: Config) -> None:
        scope = cfg.get('default_scope')
        steps = self._steps_of(cfg)
        kinds = [class_of(step, TRANSFORMS, scope) for step in steps]
        loaders = [place for place, kind in enumerate(kinds) if _derives(kind, LoadImageFromFile)]
        if not loaders:
            raise UserError('the test pipeline of the run has no step that loads an image file (LoadImageFromFile)')
        rest = [
            step
            for place, (step, kind) in enumerate(zip(steps, kinds))
            if place > loaders[0] and not _is_for_annotations(kind)
        ]
        with TRANSFORMS.switch_scope_and_registry(scope):
            self._load, self._rest = Compose(steps[: loaders[0] + 1]), Compose(rest)
        loader = self._load.transforms[-1]
        # OpenCV's colours are blue, green, red.
        self._is_bgr = not isinstance(loader, LoadBands) and loader.color_type.startswith('color')
        reader = reader_of(self._load)
        self.reader = ImageReader('RGB') if reader is None else reader

    @staticmethod
    def _steps_of(cfg: Config) -> list[Mapping]:
        dataset = next(data_sets((cfg.get('test_dataloader') or {}).get('dataset') or ()), {})
        steps = dataset.get('pipeline')
        if not steps:
            raise UserError('the config of the run has no test_dataloader.dataset.pipeline, which prepares images')
        return list(steps)

    @property
    def bands(self) -> Bands:
        """Which bands of the files the model sees."""
        return self.reader.bands

    def read(self, files: PhotoFiles, index: int) -> dict:
        """What is known of an image when it is loaded: ``img`` (H, W, C), and other entries of MMEngine's pipelines.

        Raises:
            UnreadableError: it cannot be read.
        """
        try:
            source = files.source(index)
        except OSError as error:
            raise UnreadableError(str(files.path(index)), files.why_unreadable(index, error)) from error
        if isinstance(source, Path):
            return self._loaded(str(source), index)
        with tempfile.NamedTemporaryFile(suffix=files.path(index).suffix) as file:  # a member of a tar
            file.write(source)
            file.flush()
            return self._loaded(file.name, index)

    def _loaded(self, path: str, index: int) -> dict:
        entry = dict(img_path=path, img_id=index, label_map=None, seg_fields=[], instances=[])
        results = run_pipeline(self._load, entry, path)
        assert results is not None
        return results

    def prepare(self, loaded: dict, tile: Tile) -> dict:
        """What a batch is made of: ``inputs`` (C, h, w) and ``data_samples``, of a tile of an image."""
        image = loaded['img']
        rows, columns = slice(tile.rows.start, tile.rows.end), slice(tile.columns.start, tile.columns.end)
        part = np.ascontiguousarray(image[rows, columns])
        return self._rest(dict(loaded, img=part, img_shape=part.shape[:2], ori_shape=part.shape[:2]))

    @staticmethod
    def collate(items: list[dict]) -> dict:
        """The batch of prepared images."""
        return pseudo_collate(items)

    def picture(self, loaded: dict) -> np.ndarray:
        """(H, W, 3) uint8: the image as one sees it; of other bands than 'RGB' the first three, or one, stretched."""
        image = loaded['img']
        if (shown := shown_bands(self.bands)) is not None:
            return shown.stretch(image).picture(image)
        if image.ndim == 2 or image.shape[2] == 1:
            return np.repeat(image.reshape(*image.shape[:2], 1), 3, 2)
        return np.ascontiguousarray(image[..., ::-1]) if self._is_bgr else image


def _derives(kind: Any, *bases: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, bases)


def _is_for_annotations(kind: Any) -> bool:
    """Whether a transform loads annotations; those that need annotations are in no test pipeline without them."""
    return _derives(kind, LoadAnnotations)
