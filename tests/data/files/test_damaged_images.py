"""Damaged image files are unreadable files, or the image: nothing else, and nothing hangs."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mae_transfer.data.files.image_reader import UNREADABLE, ImageReader
from mae_transfer.data.files.image_values import UnexpectedValues
from mae_transfer.errors import UserError
from tests.data.written import content, values

DEEP_PIXELS, PIXELS = values('uint16', 4), values('uint8', 3)
DAMAGED = {
    'tiff': content(tifffile.imwrite, DEEP_PIXELS, photometric='minisblack', planarconfig='contig'),
    'deflate': content(
        tifffile.imwrite, DEEP_PIXELS, photometric='minisblack', planarconfig='contig', compression='deflate'
    ),
    'pages': content(tifffile.imwrite, np.moveaxis(DEEP_PIXELS, 2, 0), photometric='minisblack'),
    'tiff of 8 bits': content(tifffile.imwrite, PIXELS, photometric='rgb'),
    'tiles': content(
        tifffile.imwrite,
        DEEP_PIXELS,
        photometric='minisblack',
        planarconfig='contig',
        tile=(16, 16),
        compression='deflate',
    ),
    'npy': content(np.save, DEEP_PIXELS),
    'avif': content(Image.fromarray(PIXELS).save, 'AVIF'),
    'gif': content(Image.fromarray(PIXELS).save, 'GIF'),
    'png': content(Image.fromarray(PIXELS).save, 'PNG'),
    'png of 16 bits': cv2.imencode('.png', DEEP_PIXELS)[1].tobytes(),
    'jpeg': content(Image.fromarray(PIXELS).save, 'JPEG'),
    'jpeg 2000': content(Image.fromarray(values('uint16', 1, (40, 40))[..., 0]).save, 'JPEG2000', irreversible=False),
    'pgm': content(Image.fromarray(DEEP_PIXELS[..., 0]).save, 'PPM'),
    'webp': content(Image.fromarray(PIXELS).save, 'WEBP', lossless=True),
}  # fmt: skip
_EXTREME = (b'\xff\xff\xff\xff', b'\xff\xff\xff\x7f', b'\0\0\0\0', b'\x7f\xff\xff\xff')


def mutated(data: bytes, seed: int) -> tuple[bytes, bool]:
    """The bytes cut short, with some changed, or with an extreme number in the header; whether they were cut."""
    rng, changed = np.random.default_rng(seed), bytearray(data)
    if seed % 3 == 0:
        return data[: rng.integers(len(data))], True
    if seed % 3 == 1:
        for place in rng.integers(0, min(len(data), rng.choice([300, len(data)])), rng.integers(1, 6)):
            changed[place] = rng.integers(256)
    else:
        place = int(rng.integers(min(len(data), 200)))
        changed[place : place + 4] = _EXTREME[rng.integers(4)]
    return bytes(changed), False


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', DAMAGED)
def test_damaged_files_are_unreadable_or_images(name, tmp_path, capfd):
    """Nothing but the documented errors; a file that is cut short never passes as whole."""
    data, readers = DAMAGED[name], (ImageReader('RGB'), ImageReader((1,), exif_orientation=True))
    path, whole = tmp_path / 'a', {}
    for reader in readers:
        try:
            whole[reader.mode] = np.asarray(reader(data))
        except UnexpectedValues:
            pass
    assert whole
    for seed in range(300):
        changed, cut = mutated(data, seed)
        path.write_bytes(changed)
        for reader in readers:
            reader.dtype = None
            for source in (changed, path) if seed % 10 == 0 else (changed,):
                try:
                    image = reader(source)
                except UNREADABLE:  # UnexpectedValues among them
                    continue
                except UserError as error:
                    assert 'pip install imagecodecs' in str(error)
                    continue
                array = np.asarray(image)
                assert 2 <= array.ndim <= 3 and array.dtype in (np.uint8, np.float32) and np.isfinite(array).all()
                # Pillow takes JPEG and JPEG 2000 that lack only their last bytes.
                if cut and not name.startswith('jpeg'):
                    assert np.array_equal(array, whole.get(reader.mode)), (seed, len(changed), len(data))


def test_missing_tiles(tmp_path):
    """A height of millions of rows: tifffile would fill them with zeros."""
    with tifffile.TiffFile(io.BytesIO(DAMAGED['tiles'])) as file:
        place = file.pages[0].tags['ImageWidth'].valueoffset
    changed = bytearray(DAMAGED['tiles'])
    changed[place : place + 4] = (90_000).to_bytes(4, 'little')
    with pytest.raises(ValueError, match=r'4 of 11250 strips or tiles'):
        ImageReader((1,))(bytes(changed))
