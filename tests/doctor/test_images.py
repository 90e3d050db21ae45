"""Decoders that are there, missing, or not as they should be."""

from __future__ import annotations

import importlib.util

import numpy as np
from PIL import features

from mae_transfer.data.files import jpeg
from mae_transfer.doctor import images


def test_the_decoder_is_named(monkeypatch):
    (found,) = images.jpeg_decoder()
    assert found.state == 'ok' and found.found == (
        "decoded by simplejpeg, pixels equal to Pillow's" if jpeg.simplejpeg else 'decoded by OpenCV'
    )
    monkeypatch.setattr(jpeg, 'simplejpeg', None)
    (found,) = images.jpeg_decoder()
    assert (found.state, found.found) == ('ok', 'decoded by OpenCV') and 'mae_transfer[fast]' in found.advice


def test_a_decoder_that_fails_or_has_other_pixels(monkeypatch):
    monkeypatch.setattr(jpeg, 'decode_jpeg', lambda content: None)
    (found,) = images.jpeg_decoder()
    assert found.is_failure and found.found.endswith('does not decode a JPEG of Pillow')
    monkeypatch.setattr(jpeg, 'decode_jpeg', lambda content: np.zeros((24, 32, 3), np.uint8))
    (found,) = images.jpeg_decoder()
    assert found.state == 'wrong' and 'they differ by up to ' in found.found and not found.is_failure


def test_formats_that_pillow_is_built_without(monkeypatch):
    assert {finding.name for finding in images.formats()} == {'WebP', 'JPEG 2000', 'AVIF', 'TIFF with compression'}
    monkeypatch.setattr(features, 'check', lambda name: name != 'avif')
    found = {finding.name: finding for finding in images.formats()}
    assert [name for name, finding in found.items() if finding.state == 'missing'] == ['AVIF']
    assert not found['AVIF'].is_failure


def test_bands(monkeypatch):
    spec = importlib.util.find_spec
    for codecs, words in ((None, 'plain and with deflate'), (spec('json'), 'imagecodecs all compressions')):
        monkeypatch.setattr(
            importlib.util, 'find_spec', lambda name, codecs=codecs: codecs if name == 'imagecodecs' else spec(name)
        )
        (found,) = images.tiff()
        assert found.state == 'ok' and words in found.found
