"""The size of an image file, from its header, in every format that the readers take."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from mae_transfer.data.image_values import stored_size

VALUES = np.zeros((5, 7, 13), np.uint16)


@pytest.mark.parametrize(
    'planes, settings',
    [
        (VALUES, dict(planarconfig='contig')),
        (VALUES.transpose(2, 0, 1), dict(planarconfig='separate')),
        (VALUES.transpose(2, 0, 1), {}),  # a page for each band
        (VALUES[..., 0], {}),
    ],
)
def test_of_a_tiff(planes, settings, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', planes, photometric='minisblack', metadata=None, **settings)
    assert stored_size(tmp_path / 'a.tif') == stored_size((tmp_path / 'a.tif').read_bytes()) == ((7, 5), 1)


@pytest.mark.parametrize('shape', [(5, 7), (5, 7, 3), (3, 5, 7)])
def test_of_an_array(shape, tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros(shape))
    assert stored_size(tmp_path / 'a.npy') == ((7, 5), 1)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_its_orientation_is_given_beside_it(suffix, tmp_path):
    image = Image.new('RGB', (7, 5))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / f'a.{suffix}', exif=exif)
    assert stored_size(tmp_path / f'a.{suffix}') == ((7, 5), 6)


def test_of_no_image(tmp_path):
    (tmp_path / 'a.tif').write_bytes(b'II*\0 damaged')
    (tmp_path / 'b.jpg').write_bytes(b'no image')
    with pytest.raises(ValueError):
        stored_size(tmp_path / 'a.tif')
    with pytest.raises(OSError):
        stored_size(tmp_path / 'b.jpg')
