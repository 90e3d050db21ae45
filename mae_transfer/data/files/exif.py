"""The EXIF orientation of an image file, from its header."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import numpy as np
from mmengine.fileio import get
from PIL import Image

EXIF_ORIENTATION = 0x0112  # the tag
SIDES_EXCHANGED = (5, 6, 7, 8)  # its values for which height and width change places
_WIDTH, _HEIGHT = 256, 257  # tags of a TIFF


class Header(NamedTuple):
    """What the header of an image says: (height, width) as it is stored, and its EXIF orientation, 1 for none."""

    stored: tuple[int, int]
    orientation: int

    @property
    def exchanges_sides(self) -> bool:
        """Whether height and width change places when the image is shown."""
        return self.orientation in SIDES_EXCHANGED


def header_of(path: str, backend_args: dict | None = None) -> Header | None:
    """The header of an image; None for a file that Pillow cannot read, such as an array or one that is damaged."""
    # Pillow raises errors of many kinds for damaged headers.
    try:
        with Image.open(BytesIO(get(path, backend_args=backend_args))) as image:
            tags = getattr(image, 'tag_v2', None)  # of a TIFF, whose size Pillow gives as shown
            width, height = image.size if tags is None else (tags[_WIDTH], tags[_HEIGHT])
            return Header((height, width), int(image.getexif().get(EXIF_ORIENTATION, 1)))
    except Exception:
        return None


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array (H, W, C), turned as an EXIF orientation says."""
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
