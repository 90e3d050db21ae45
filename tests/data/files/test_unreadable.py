"""The reason why a file is no image is told."""

from __future__ import annotations

import pytest
from PIL import Image, PngImagePlugin

from mae_transfer.data import Photos
from mae_transfer.data.files.image_reader import ImageReader
from mae_transfer.data.files.unreadable import why_unreadable
from mae_transfer.data.photos.wrappers import ConcatDataset
from mae_transfer.errors import UserError


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', 'is empty'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'is a pointer of Git LFS: run git lfs pull'),
        (b'\n<!DOCTYPE html><p>', 'is an HTML page, saved in place of an image'),
        (b'<svg xmlns="x"/>', 'is an SVG drawing: save it as PNG'),
        (b'\0\0\0\x18ftypheic\0\0', 'is HEIC: save it as JPEG'),
        (b'%PDF-1.4', 'is a PDF: save it as PNG'),
        (b'anything', ''),
    ],
)
def test_first_bytes_tell(tmp_path, content, reason):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert why_unreadable(tmp_path / 'a.jpg', OSError()) == reason


def test_errors_tell(tmp_path):
    assert why_unreadable(tmp_path / 'a.jpg', FileNotFoundError()) == 'does not exist'
    assert why_unreadable(tmp_path / 'a.jpg', PermissionError()) == 'may not be read'
    assert why_unreadable(tmp_path, OSError()) == ''


def test_the_reason_is_told_with_the_name(tmp_path):
    Image.new('RGB', (8, 8)).save(tmp_path / 'b.png')
    (tmp_path / 'a.png').touch()
    assert Photos(str(tmp_path), img_size=8, hold_out=0)[0, 0]['skipped'] == ['a.png (is empty)']


def test_held_out_photos_are_checked_at_the_start(tmp_path):
    (tmp_path / 'a.png').touch()
    photos = Photos(str(tmp_path), 'val', hold_out=1)
    for dataset in (photos, ConcatDataset([photos])):
        with pytest.raises(UserError, match='none of the 1 images .* can be read: a.png .is empty. is the first'):
            dataset.check_readable()


def test_a_png_with_long_notes_is_read(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text('workflow', 'x' * 2_000_000, zip=True)
    Image.new('RGB', (2, 2), 'red').save(tmp_path / 'a.png', pnginfo=notes)
    assert ImageReader()(tmp_path / 'a.png').getpixel((0, 0)) == (255, 0, 0)


def test_one_deep_file_among_photos_is_to_be_converted(tmp_path):
    for name in 'ab':
        Image.new('RGB', (2, 2)).save(tmp_path / f'{name}.png')
    Image.new('I;16', (2, 2)).save(tmp_path / 'c.png')
    with pytest.raises(UserError, match='c.png has 1 channel of uint16, .*: 2 of 3 files have these: convert it, or'):
        ImageReader().examine(sorted(tmp_path.iterdir()))
