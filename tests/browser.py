"""A browser for tests that open a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium, driven by playwright; skips where one of them is absent."""
    sync_api = pytest.importorskip('playwright.sync_api', reason='pages are opened by playwright: the extra test')
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f'no browser: none of {", ".join(NAMES)} is on the path')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        try:
            yield browser
        finally:
            browser.close()
