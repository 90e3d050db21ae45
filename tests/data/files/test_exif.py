"""The EXIF orientation of image files."""

import pytest
from PIL import Image

from mae_transfer.data.files.exif import header_of
from tests.data.sources import rotated


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp'])
def test_the_orientation_is_found(suffix, tmp_path):
    assert header_of(rotated(tmp_path / f'a{suffix}', 6)) == ((20, 30), 6)
    Image.new('RGB', (3, 2)).save(tmp_path / 'b.png')
    assert header_of(str(tmp_path / 'b.png')) == ((2, 3), 1)
    (tmp_path / 'c.png').write_text('damaged')
    assert header_of(str(tmp_path / 'c.png')) is None
