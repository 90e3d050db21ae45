"""Image files that cannot be read, and why."""

from __future__ import annotations

import cv2
import mmcv
import pytest

from mae_transfer.data.loading import why_unreadable
from tests.helpers import save_photo


@pytest.mark.parametrize('content, reason', [(b'', 'is empty (0 bytes)'), (b'x', '(1 bytes) is not an image')])
def test_the_reason_is_told(tmp_path, content, reason):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert why_unreadable(str(tmp_path / 'a.jpg')).startswith(reason)
    assert why_unreadable(str(save_photo(tmp_path / 'b.jpg'))) is None
    assert 'No such file' in why_unreadable(str(tmp_path / 'gone.jpg'))


def test_a_limit_is_no_damage(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise cv2.error("(-215:Assertion failed) pixels <= CV_IO_MAX_IMAGE_PIXELS in function 'validateInputImageSize'")

    monkeypatch.setattr(mmcv, 'imfrombytes', refuse)
    assert 'OPENCV_IO_MAX_IMAGE_PIXELS sets this' in why_unreadable(str(save_photo(tmp_path / 'b.jpg')))
