"""What reads images: the decoder of JPEGs, and the formats that Pillow, OpenCV and tifffile know here."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator

from .finding import Finding

TOPIC = 'images'
#: {format: what Pillow calls it}
_OF_PILLOW = {'WebP': 'webp', 'JPEG 2000': 'jpg_2000', 'AVIF': 'avif', 'TIFF with compression': 'libtiff'}


def jpeg_decoder() -> Iterator[Finding]:
    """The decoder that pre-training and classification use, on a JPEG that Pillow writes."""
    import numpy as np
    from PIL import Image

    from ..data.files import jpeg

    by = 'OpenCV' if jpeg.simplejpeg is None else 'simplejpeg'
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(file, 'JPEG', quality=95)
    decoded, expected = jpeg.decode_jpeg(file.getvalue()), np.asarray(Image.open(file))
    if decoded is None:
        advice = 'pip install --force-reinstall opencv-python simplejpeg'
        yield Finding(TOPIC, 'JPEG', 'wrong', f'{by} does not decode a JPEG of Pillow', advice, needed=True)
    elif not np.array_equal(decoded, expected):
        most = np.abs(decoded.astype(int) - expected).max()
        yield Finding(
            *(TOPIC, 'JPEG', 'wrong', f"{by}'s pixels are not Pillow's: they differ by up to {most} of 255"),
            'they are built on different versions of libjpeg: install both from wheels by pip',
        )
    elif by == 'OpenCV':
        found, advice = 'decoded by OpenCV', "simplejpeg is faster: pip install 'mae_transfer[fast]'"
        yield Finding(TOPIC, 'JPEG', 'ok', found, advice)
    else:
        yield Finding(TOPIC, 'JPEG', 'ok', f"decoded by {by}, pixels equal to Pillow's")


def formats() -> Iterator[Finding]:
    """Formats that Pillow may be built without."""
    from PIL import features

    for name, feature in _OF_PILLOW.items():
        if features.check(feature):
            yield Finding(TOPIC, name, 'ok', f'read by Pillow ({features.version(feature) or "no version"})')
        else:
            advice = 'pip install -U pillow, from a wheel, if you have such files'
            yield Finding(TOPIC, name, 'missing', 'this Pillow is built without', advice)


def tiff() -> Iterator[Finding]:
    """Bands of a TIFF, as they are read where ``bands`` are numbers."""
    import numpy as np
    import tifffile

    file, values = io.BytesIO(), np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    tifffile.imwrite(file, values, photometric='minisblack', compression='zlib')
    file.seek(0)
    if not np.array_equal(tifffile.imread(file), values):
        found = 'tifffile does not read what it wrote'
        yield Finding(TOPIC, 'TIFF bands', 'wrong', found, 'pip install -U tifffile', needed=True)
    elif importlib.util.find_spec('imagecodecs') is None:
        found = 'tifffile reads them plain and with deflate'
        yield Finding(TOPIC, 'TIFF bands', 'ok', found, "LZW, JPEG and others: pip install 'mae_transfer[tiff]'")
    else:
        yield Finding(TOPIC, 'TIFF bands', 'ok', 'tifffile reads them, imagecodecs all compressions')
