"""The page in headless Chromium: it draws, it follows the reader, and nothing leaves this machine."""

from __future__ import annotations

import io
import re
import socket
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from mae_transfer.exploring.explore import RunningPage, explore
from tests.browser import open_browser
from tests.exploring.subjects import classifier, mae
from tests.helpers import photo_folder, save_photo
from tests.tools.commands import free_port

pytest.importorskip('gradio', reason='the page needs gradio: the extra explore')


@pytest.fixture(scope='module')
def browser():
    with open_browser() as browser:
        yield browser


class Reader:
    """A reader of a page.

    Attributes:
        page: what is read.
        tab: the browser's tab.
        faults: errors on its console, and requests to other hosts.
    """

    def __init__(self, browser, page: RunningPage) -> None:
        self.page, self.faults = page, list[str]()
        self.tab = browser.new_page(viewport=dict(width=1400, height=1000))
        self.tab.on('console', lambda line: self.faults.append(line.text) if line.type == 'error' else None)
        self.tab.on('pageerror', lambda error: self.faults.append(str(error)))
        self.tab.on('request', self._asked)
        self.tab.goto(page.url)

    def _asked(self, request) -> None:
        if urlsplit(request.url).scheme not in ('data', 'blob') and urlsplit(request.url).hostname != '127.0.0.1':
            self.faults.append(request.url)

    def address(self, name: str) -> str:
        """Where the picture of a name is; waits until it is drawn."""
        self.tab.wait_for_function('name => document.querySelector(`#${name} img`)?.naturalWidth > 0', arg=name)
        return self.tab.locator(f'#{name} img').get_attribute('src')

    def picture(self, name: str) -> np.ndarray:
        """The pixels of a picture."""
        content = urlopen(self.address(name)).read()
        return np.asarray(Image.open(io.BytesIO(content)).convert('RGB')).astype(int)

    def changed(self, name: str, before: str) -> np.ndarray:
        """The pixels of a picture once it is another one than ``before``."""
        self.tab.wait_for_function(
            '([name, before]) => document.querySelector(`#${name} img`).src !== before', arg=[name, before]
        )
        return self.picture(name)

    def click_patch(self, name: str, patch: int) -> None:
        """Click in the middle of one of the 4 x 4 patches, where the picture is drawn: as large as its box allows."""
        image = self.tab.locator(f'#{name} img')
        image.scroll_into_view_if_needed()
        box = image.bounding_box()
        side = min(box['width'], box['height'])
        left, top = (box['x'] + (box['width'] - side) / 2, box['y'] + (box['height'] - side) / 2)
        self.tab.mouse.click(left + (patch % 4 + 0.5) * side / 4, top + (patch // 4 + 0.5) * side / 4)

    def says(self, name: str, pattern: str) -> None:
        """Wait until a sentence is there."""
        self.tab.wait_for_function(
            '([name, pattern]) => new RegExp(pattern, `s`).test(document.querySelector(`#${name}`)?.textContent)',
            arg=[name, pattern],
        )

    def open(self, tab: str) -> None:
        self.tab.get_by_role('tab', name=tab).click()


@pytest.fixture
def opened(browser, tmp_path, monkeypatch):
    """``opened(run, photos)``: a reader of the page of a run."""
    readers = []
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path / 'files'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)

    def open_page(run, photos=None) -> Reader:
        page = explore(run, photos, port=free_port(), wait=False)
        readers.append(reader := Reader(browser, page))
        return reader

    yield open_page
    for reader in readers:
        reader.tab.close()
        reader.page.close()


def hidden(picture: np.ndarray) -> np.ndarray:
    """Which of the 4 x 4 patches of a masked picture are of one colour, inside of the lines between them."""
    patches = picture.reshape(4, 112, 4, 112, 3)[:, 4:-4, :, 4:-4]
    return (np.ptp(patches, axis=(1, 3)).max(-1) == 0).ravel()


def test_the_page_of_an_mae(opened, tmp_path, monkeypatch):
    asked, real = [], socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo', lambda host, *rest, **kw: asked.append(host) or real(host, *rest, **kw))
    reader = opened(mae(photo_folder(tmp_path / 'photos', 6)))

    assert reader.tab.locator('#strip img').nth(5).get_attribute('src')

    # It draws the first photo, masked as in training.
    before = hidden(reader.picture('masked'))
    assert before.sum() == 12
    reader.says('said_of_loss', r'Loss of this photo: .* 12 of 16 patches are hidden \(75 %\).*borrows the mean')
    assert (reader.picture('predicted') != reader.picture('original')).any()

    # The ratio.
    old = [reader.address(name) for name in ('masked', 'predicted')]
    reader.tab.locator('#ratio input[type=number]').fill('0.5')
    assert hidden(reader.changed('masked', old[0])).sum() == 8 and reader.changed('predicted', old[1]).any()
    reader.says('said_of_loss', r'8 of 16 patches are hidden')

    # The masking.
    old = reader.address('masked')
    reader.tab.get_by_label('grid').check()
    assert hidden(reader.changed('masked', old)).reshape(4, 4).sum(0).tolist() == [2, 2, 2, 2]

    # A patch that is clicked.
    old = hidden(reader.picture('masked'))
    for patch in (0, 7):
        address = reader.address('masked')
        reader.click_patch('masked', patch)
        new = hidden(reader.changed('masked', address))
        assert np.flatnonzero(new != old).tolist() == [patch]
        old = new
    assert reader.tab.get_by_label('by hand').is_checked()

    # Another photo keeps the mask.
    address, original = reader.address('masked'), reader.picture('original')
    reader.tab.locator('#strip button.thumbnail-item, #strip .thumbnail-lg').nth(3).click()
    reader.says('name', r'photo3\.png')
    assert (hidden(reader.changed('masked', address)) == old).all()
    assert (reader.picture('original') != original).any()

    # Attention and colours.
    reader.open('Features')
    reader.says('said_of_attention', 'mean of all heads.*class token')
    address = reader.address('asked')
    reader.click_patch('asked', 13)
    framed = (reader.changed('asked', address) == (255, 64, 32)).all(2).reshape(4, 112, 4, 112).any((1, 3))
    assert np.flatnonzero(framed).tolist() == [13]
    assert reader.picture('colours').std() > 10
    reader.says('said_of_colours', 'first three principal components of the patches of all 4 photos')

    address = reader.address('colours')
    reader.tab.locator('#without_places input').check()
    assert reader.changed('colours', address).std() > 10
    reader.says('said_of_colours', 'Left out is what 6 photos have in common')

    # Nearest photos.
    reader.open('Nearest photos')
    reader.says('said_of_nearest', 'among 6 photos')
    found = reader.tab.locator('#found img')
    assert found.count() == 5
    name = re.search(r'photo\d\.png', reader.tab.locator('#found').inner_text())[0]
    found.first.click()
    reader.says('name', re.escape(name))
    reader.says('said_of_nearest', f'Nearest to {re.escape(name)}')

    # A file that is no image is told; one that is an image is shown.
    (tmp_path / 'bad.png').write_text('no image')
    reader.tab.locator('#drop input[type=file]').set_input_files(tmp_path / 'bad.png')
    reader.tab.get_by_text('bad.png cannot be read as an image').wait_for()
    reader.tab.locator('#drop input[type=file]').set_input_files(save_photo(tmp_path / 'dropped.png', 9))
    reader.says('name', r'dropped\.png')
    reader.says('said_of_nearest', 'Nearest to dropped.png among 6 photos')

    # What gradio wrote goes with the page.
    reader.tab.close()
    reader.page.close()
    left = [file for file in (tmp_path / 'files').rglob('*') if file.is_file() and file.stat().st_size]
    assert not left

    assert not reader.faults
    assert {host for host in asked if host} <= {'127.0.0.1', b'127.0.0.1', 'localhost'}


def test_the_page_of_a_classifier_says_what_it_does_not_have(opened, tmp_path):
    reader = opened(classifier(), photo_folder(tmp_path / 'photos', 3))
    assert reader.picture('heat').any()
    reader.open('Reconstruction')
    reader.says('why_not', 'No reconstructions: .* is a ViTClassifier, which predicts no pixels')
    assert not reader.faults


def test_a_page_without_photos_waits_for_one(opened, tmp_path):
    reader = opened(mae(tmp_path / 'gone'))
    reader.says('name', r'No photos: .* Drop a photo')
    reader.tab.locator('#drop input[type=file]').set_input_files(save_photo(tmp_path / 'dropped.png'))
    assert hidden(reader.picture('masked')).sum() == 12
    reader.open('Nearest photos')
    reader.tab.get_by_text('there are no photos to look among').wait_for()
    assert not reader.faults
