"""Random crops of photos: torchvision's draws, from pixels that were decoded at the scale they need."""

from __future__ import annotations

import io
import math
from abc import abstractmethod
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

from ...registry import TRANSFORMS
from ..files.exif import EXIF_ORIENTATION, SIDES_EXCHANGED, turned
from ..files.image_reader import ImageReader
from ..files.jpeg import REDUCTIONS, decode_jpeg, jpeg_size
from .crops import InRange, Pixels, size_of

_BICUBIC = InterpolationMode.BICUBIC
#: What libjpeg's filter reduces is reduced by this factor more, by a better filter, as by Pillow's ``thumbnail``.
_GAP = 2
#: Least and greatest ratio of a crop's width to its height.
ASPECT = (3 / 4, 4 / 3)
_LOG_ASPECT = torch.tensor(ASPECT).log().tolist()
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


class ResizedCrop:
    """Base of random crops that are resized by antialiased bicubic interpolation, and flipped at random.

    PyTorch resizes about three times as fast as Pillow. On photos the two differ by .03 levels of 255 on average, and
    by 14 at most, at single pixels where bicubic interpolation overshoots; in noise by more. Where the photo was
    decoded at 1 / n of its size, the box is rounded to pixels of that size, and pixels differ by .5 levels on average
    (docs/performance.md).

    Args:
        size: side, or (height, width), of the result.
        hflip: probability of a flip.
    """

    def __init__(self, size: int | tuple[int, int], hflip: float = 0.5) -> None:
        self.size, self.hflip = to_2tuple(size), hflip

    @abstractmethod
    def box(self, width: int, height: int) -> Box:
        """Draw a crop of a photo of this size, from torch's generator: (top, left, height, width), in pixels."""

    def reduction(self, width: int, height: int) -> int:
        """Draw a crop of a photo of this size, and say how small the photo may be decoded for it: the largest n at
        which the crop, at 1 / n of its size, still has sides that are twice those of the result."""
        least = [side * _GAP for side in self.size]
        if height < 2 * least[0] or width < 2 * least[1]:  # not even for the whole photo
            return 1
        box = self.box(width, height)
        most = min(box[2] / least[0], box[3] / least[1])
        return max(n for n in REDUCTIONS if n == 1 or n <= most)

    def __call__(self, image: Pixels | Decoded) -> torch.Tensor:
        """A photo, with values of 8 bits, to a tensor (C, h, w), uint8."""
        if not isinstance(image, Decoded):
            image = Decoded(np.atleast_3d(np.array(image)), size_of(image))
        rows, columns = (slice(*span) for span in _reduced(self.box(*image.size), image))
        # What is contiguous in memory, with the channels last, is resized faster; the copy costs little.
        crop = torch.from_numpy(np.ascontiguousarray(image.pixels[rows, columns]))[None].permute(0, 3, 1, 2)
        crop = F.interpolate(crop, self.size, mode='bicubic', antialias=True)[0]
        return crop.flip(-1) if torch.rand(1) < self.hflip else crop


class RandomSizeCrop(ResizedCrop):
    """Crop of random position, size and aspect ratio: torchvision's ``RandomResizedCrop``.

    Box and flip are those that torchvision draws from the same random numbers.

    Args:
        size, hflip: see the base class.
        scale: least and greatest share of the photo's area.
    """

    def __init__(self, size: int | tuple[int, int], scale: tuple[float, float], hflip: float = 0.5) -> None:
        super().__init__(size, hflip)
        self.scale = scale

    def box(self, width: int, height: int) -> Box:
        """See the base class. (torchvision's own method does the same with tensors, in six times as long.)"""
        for _ in range(10):
            area = height * width * torch.empty(1).uniform_(*self.scale).item()
            ratio = torch.empty(1).uniform_(*_LOG_ASPECT).exp_().item()
            columns, rows = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < columns <= width and 0 < rows <= height:
                top = int(torch.randint(height - rows + 1, (1,)))
                return top, int(torch.randint(width - columns + 1, (1,))), rows, columns
        # The largest centred crop with an allowed aspect ratio.
        columns = min(width, round(height * ASPECT[1]))
        rows = min(height, round(width / ASPECT[0]))
        return (height - rows) // 2, (width - columns) // 2, rows, columns


@TRANSFORMS.register_module()
class ProbeCrop(ResizedCrop):
    """Random crop and flip of MAE's linear probing (BYOL's crop; official util/crop.py).

    Area and aspect ratio are drawn once, and each side is clamped to the image's; torchvision draws again until both
    sides fit. On elongated images, crops therefore extend further along the short side than torchvision's.

    Args:
        img_size: side, or (height, width), of the crop.
        scale: least and greatest share of the image's area.
    """

    def __init__(self, img_size: int | tuple[int, int], scale: tuple[float, float] = (0.08, 1.0)) -> None:
        super().__init__(img_size)
        self.scale = scale

    def box(self, width: int, height: int) -> Box:
        """See the base class."""
        area = width * height * torch.empty(1).uniform_(*self.scale).item()
        ratio = math.exp(torch.empty(1).uniform_(math.log(3 / 4), math.log(4 / 3)).item())
        crop_width = min(max(1, round(math.sqrt(area * ratio))), width)
        crop_height = min(max(1, round(math.sqrt(area / ratio))), height)
        top = int(torch.randint(height - crop_height + 1, ()))
        left = int(torch.randint(width - crop_width + 1, ()))
        return top, left, crop_height, crop_width

    def __call__(self, image: Pixels | Decoded) -> torch.Tensor:
        """See the base class; an array of bands keeps the range of each of its channels."""
        if not isinstance(image, np.ndarray):
            return super().__call__(image)
        box = self.box(*size_of(image))
        flip = v2.RandomHorizontalFlip(self.hflip)
        return InRange([lambda x: v2.functional.resized_crop(x, *box, list(self.size), _BICUBIC), flip])(image)


def _reduced(box: Box, image: Decoded) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and the columns of a crop, from and to, in the pixels that were decoded."""
    top, left, height, width = (round(length / image.reduction) for length in box)
    spans = ((top, height, image.pixels.shape[0]), (left, width, image.pixels.shape[1]))
    rows, columns = ((min(start, most - 1), min(start + max(1, length), most)) for start, length, most in spans)
    return rows, columns


class CropReader:
    """Reads photos for a :class:`ResizedCrop`: JPEGs in colours at the scale that the crop needs, all others whole.

    The photo that was read last is kept, so that several crops of one photo in a row decode it once.

    Args:
        crop: of the photos.
        reader: of the files that are no such JPEGs. Its settings hold for JPEGs, too.
        source: the path or the content of the file of a number.
        seeded: seeds the generators that the crop draws from.
    """

    def __init__(
        self,
        crop: ResizedCrop,
        reader: ImageReader,
        source: Callable[[int], Path | bytes],
        seeded: Callable[[int], AbstractContextManager],
    ) -> None:
        self.crop, self.reader, self.source, self.seeded = crop, reader, source, seeded
        self._last: tuple[int, Pixels | Decoded] | None = None

    def __call__(self, index: int, seed: int) -> Pixels | Decoded:
        """The photo of a number, for the crop that ``seed`` draws; raises as the reader."""
        if self._last is None or self._last[0] != index or not self._suffices(self._last[1], seed):
            self._last = None  # its memory is not needed while the next is read
            self._last = index, self._read(self.source(index), seed)
        return self._last[1]

    def _suffices(self, image: Pixels | Decoded, seed: int) -> bool:
        if not isinstance(image, Decoded) or image.reduction == 1:
            return True
        return image.reduction <= self._reduction(image.size, seed)

    def _reduction(self, size: tuple[int, int], seed: int) -> int:
        with self.seeded(seed):
            return self.crop.reduction(*size)

    def _read(self, source: Path | bytes, seed: int) -> Pixels | Decoded:
        if self.reader.mode != 'RGB':
            return self.reader(source)
        content = source if isinstance(source, bytes) else source.read_bytes()
        size, limit = jpeg_size(content), Image.MAX_IMAGE_PIXELS  # at twice this Pillow refuses an image
        if size is None or (limit is not None and size[0] * size[1] > 2 * limit):
            return self.reader(content)
        orientation = 1
        if self.reader.exif_orientation:
            with Image.open(io.BytesIO(content)) as file:
                orientation = file.getexif().get(EXIF_ORIENTATION, 1)
        size = size[::-1] if orientation in SIDES_EXCHANGED else size
        reduction = self._reduction(size, seed)
        pixels = decode_jpeg(content, reduction)
        return self.reader(content) if pixels is None else Decoded(turned(pixels, orientation), size, reduction)
