"""Random crops of photos: torchvision's draws, from pixels that were decoded at the scale they need."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.layers import to_2tuple
from torchvision.transforms import InterpolationMode, v2

from ..files.exif import EXIF_ORIENTATION, turned
from ..files.image_reader import ImageReader
from ..files.jpeg import REDUCTIONS, decode_jpeg, jpeg_size
from .crops import Pixels, size_of

#: A crop: top, left, height, width in pixels of the photo.
Box = tuple[int, int, int, int]


class Decoded(NamedTuple):
    """A photo's pixels, which may be fewer than the photo has.

    Args:
        pixels: uint8 (ceil(H / n), ceil(W / n), C).
        size: (W, H) of the photo.
        reduction: n.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    reduction: int = 1


class RandomSizeCrop:
    """Crop of random position, size and aspect ratio, resized by antialiased bicubic interpolation and flipped at
    random.

    Box and flip are those that torchvision's ``RandomResizedCrop`` and ``RandomHorizontalFlip`` draw from the same
    random numbers. Pixels differ from Pillow's by two levels of 255 at most; PyTorch's resize is about three times as
    fast. Where the photo was decoded at 1 / n of its size, the box is rounded to pixels of that size.

    Args:
        size: (height, width) of the result.
        scale: least and greatest share of the photo's area.
        hflip: probability of a flip.
    """

    def __init__(self, size: int | tuple[int, int], scale: tuple[float, float], hflip: float = 0.5) -> None:
        self.size, self.hflip = to_2tuple(size), hflip
        self.draw = v2.RandomResizedCrop(self.size, scale=scale, interpolation=InterpolationMode.BICUBIC)

    def box(self, size: tuple[int, int]) -> Box:
        """Draw the crop of a photo of (width, height)."""
        drawn = self.draw.make_params([torch.empty(1, size[1], size[0], device='meta')])
        return drawn['top'], drawn['left'], drawn['height'], drawn['width']

    def reduction(self, box: Box) -> int:
        """The largest n at which the photo can be decoded at 1 / n of its size: the crop still has as many pixels as
        the result."""
        most = min(box[2] / self.size[0], box[3] / self.size[1])
        return max(n for n in REDUCTIONS if n == 1 or n <= most)

    def __call__(self, image: Pixels | Decoded) -> torch.Tensor:
        """A photo with values of 8 bits to a tensor (C, h, w), uint8."""
        if not isinstance(image, Decoded):
            image = Decoded(np.atleast_3d(np.array(image)), size_of(image))
        rows, columns = (slice(*span) for span in _reduced(self.box(image.size), image))
        crop = torch.from_numpy(image.pixels[rows, columns]).permute(2, 0, 1)[None]
        # A crop that is contiguous in memory is resized faster; the copy costs a tenth of what it saves.
        crop = crop.contiguous(memory_format=torch.channels_last)
        crop = F.interpolate(crop, self.size, mode='bicubic', antialias=True)[0]
        return crop.flip(-1) if torch.rand(1) < self.hflip else crop


def _reduced(box: Box, image: Decoded) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and the columns of a crop, from and to, in the pixels that were decoded."""
    top, left, height, width = (round(length / image.reduction) for length in box)
    spans = ((top, height, image.pixels.shape[0]), (left, width, image.pixels.shape[1]))
    rows, columns = ((min(start, most - 1), min(start + max(1, length), most)) for start, length, most in spans)
    return rows, columns


class CropReader:
    """Reads photos for a :class:`RandomSizeCrop`: JPEGs in colours at the scale that the crop needs, all others whole.

    The photo that was read last is kept, so that several crops of one photo in a row decode it once.

    Args:
        crop: of the photos.
        reader: of the files that are no such JPEGs. Its settings hold for JPEGs, too.
        seeded: seeds the generators that the crop draws from.
    """

    def __init__(
        self, crop: RandomSizeCrop, reader: ImageReader, seeded: Callable[[int], AbstractContextManager]
    ) -> None:
        self.crop, self.reader, self.seeded = crop, reader, seeded
        self._last: tuple[Path | None, Pixels | Decoded | None] = None, None

    def __call__(self, path: Path, seed: int) -> Pixels | Decoded:
        """The photo of a file, for the crop that ``seed`` draws; raises as the reader."""
        of, image = self._last
        if image is None or of != path or not self._suffices(image, seed):
            image = self._read(path.read_bytes(), seed)
            self._last = path, image
        return image

    def _suffices(self, image: Pixels | Decoded, seed: int) -> bool:
        if not isinstance(image, Decoded) or image.reduction == 1:
            return True
        with self.seeded(seed):
            return image.reduction <= self.crop.reduction(self.crop.box(image.size))

    def _read(self, content: bytes, seed: int) -> Pixels | Decoded:
        size = jpeg_size(content) if self.reader.mode == 'RGB' else None
        limit = Image.MAX_IMAGE_PIXELS  # at twice this Pillow refuses an image
        if size is None or (limit is not None and size[0] * size[1] > 2 * limit):
            return self.reader(content)
        orientation = 1
        if self.reader.exif_orientation:
            with Image.open(io.BytesIO(content)) as file:
                orientation = file.getexif().get(EXIF_ORIENTATION, 1)
        size = size[::-1] if orientation in (5, 6, 7, 8) else size
        with self.seeded(seed):
            reduction = self.crop.reduction(self.crop.box(size))
        pixels = decode_jpeg(content, reduction)
        return self.reader(content) if pixels is None else Decoded(turned(pixels, orientation), size, reduction)
