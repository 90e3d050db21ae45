"""EXIF's orientation of a photo: whether it is shown with its sides exchanged."""

from __future__ import annotations

import io

from mmengine.fileio import get
from PIL import Image

_ORIENTATION = 0x0112  # the tag
_SIDES_EXCHANGED = (5, 6, 7, 8)  # its values for which height and width change places


def size_as_stored(path: str, backend_args: dict | None = None) -> tuple[tuple[int, int], bool]:
    """((height, width) as stored, whether EXIF's orientation exchanges them when the photo is shown).

    Raises:
        OSError: the file cannot be read.
    """
    with Image.open(io.BytesIO(get(path, backend_args=backend_args))) as image:
        return image.size[::-1], image.getexif().get(_ORIENTATION) in _SIDES_EXCHANGED
