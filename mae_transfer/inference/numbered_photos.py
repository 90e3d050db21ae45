"""Photos without labels, each with its number, as evaluation sees them."""

from __future__ import annotations

from typing import Any

import torch

from ..data.files.bands import Bands
from ..data.files.image_reader import ImageReader
from ..data.files.photo_files import PhotoFiles
from ..data.photos.crops import CentreCrop, Pixels
from ..data.photos.image_dataset import ImageDataset
from ..data.seeds import torch_seeded


class NumberedPhotos(ImageDataset):
    """The centre crops of photos that k-NN's evaluation sees.

    Photos are resized, bicubic, until the crop is 224 / 256 of their shorter side; for crops of more than 224 pixels,
    the whole of it.

    Args:
        files: where the photos are.
        img_size: (height, width) of the crops.
        bands, exif_orientation: see :class:`~mae_transfer.data.files.image_reader.ImageReader`.

    Items: dict of ``inputs`` (C, h, w), uint8, or float32 for files of more bits; ``indices`` int, of the photo that
    was read; ``skipped`` list of str: unreadable photos, for which the item shows the next readable one.

    Raises:
        UserError: files whose values are not what ``bands`` says.
    """

    seeded = staticmethod(torch_seeded)  # nothing is drawn

    def __init__(
        self, files: PhotoFiles, img_size: tuple[int, int], bands: Bands = 'RGB', exif_orientation: bool = False
    ) -> None:
        super().__init__(files.root, training=False, skip_unreadable=True)
        self.files, self.reader = files, ImageReader(bands, exif_orientation)
        files.examine(self.reader)
        self.transform = CentreCrop(img_size)

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """See the base class."""
        return self.files.names[index]

    def read(self, index: int) -> Pixels:
        """See the base class."""
        return self.reader(self.files.source(index))

    def why_unreadable(self, index: int, error: Exception) -> str:
        """See the base class."""
        return self.files.why_unreadable(index, error)

    def item(self, image: Any, index: int, seed: int) -> dict[str, Any]:
        """See the class."""
        return dict(inputs=self.transform(image), indices=index)


def collate_numbered(items: list[dict]) -> dict[str, Any]:
    """Collate items of :class:`NumberedPhotos` to ``inputs`` (B, C, h, w), ``indices`` (B,) int64 and ``skipped``."""
    return dict(
        inputs=torch.stack([item['inputs'] for item in items]),
        indices=torch.tensor([item['indices'] for item in items], dtype=torch.int64),
        skipped=[name for item in items for name in item['skipped']],
    )
