"""Read chosen bands in the pipelines of detection and segmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.fileio import get

from ...registry import TRANSFORMS
from .bands import Bands
from .image_reader import ImageReader
from .image_values import UnexpectedValues
from .unreadable import UnreadableError


@TRANSFORMS.register_module()
class LoadBands(LoadImageFromFile):
    """Load chosen bands of an image file, (H, W, C), with their values: uint8, or float32 for every other type.

    Args:
        bands: their numbers, counted from 1; or 'L', one band, or 'RGB', in this order of the channels.
        exif_orientation: whether an image is turned as its EXIF orientation says.
        backend_args: of MMEngine's file reader, for files that are not on a local disk.

    Raises:
        UnreadableError: an image with other values; see :class:`~mae_transfer.data.files.image_reader.ImageReader`.
    """

    def __init__(
        self, bands: Bands = 'RGB', exif_orientation: bool = True, *, backend_args: dict | None = None
    ) -> None:
        super().__init__(color_type='unchanged', backend_args=backend_args)
        self.reader = ImageReader(bands, exif_orientation)

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``."""
        path = results['img_path']
        local = self.backend_args is None and '://' not in path
        try:
            image = self.reader(Path(path) if local else get(path, backend_args=self.backend_args))
        except UnexpectedValues as error:
            raise UnreadableError(path, str(error)) from None
        array = np.array(image) if isinstance(image, np.ndarray) or image.mode != 'L' else np.array(image)[..., None]
        results.update(img=array, img_shape=array.shape[:2], ori_shape=array.shape[:2])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(bands={self.reader.bands}, exif_orientation={self.reader.exif_orientation})'


@TRANSFORMS.register_module()
class Unchanged(BaseTransform):
    """Change nothing: the place of a transform that means nothing for the bands of a config."""

    def transform(self, results: dict) -> dict:
        """``results``."""
        return results
