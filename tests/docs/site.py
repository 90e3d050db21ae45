"""Building the site, and looking at it in a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import REPOSITORY


def build(out: Path, *options: str) -> Path:
    """The folder of the site, built by the documented command; skips without Sphinx, MyST or furo."""
    for package in ('sphinx', 'myst_parser', 'furo'):
        pytest.importorskip(package, reason=f'the site needs {package}: pip install mae_transfer[docs]')
    site = out / 'site'
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', *options, '-b', 'html', 'docs', str(site)]
    ended = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, 'PYTHONPATH': str(REPOSITORY)}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return site


def search(page: Any, site: Path, words: str) -> list[tuple[str, str]]:
    """(title, page with its anchor) of what the site's own search finds for what a person types, best first."""
    page.goto((site / 'search.html').as_uri())
    page.locator('input[name=q]').first.fill(words)
    page.locator('input[name=q]').first.press('Enter')
    # Results come one by one; this line at last, in either case.
    page.locator('#search-results .search-summary', has_text=re.compile('finished|did not match')).wait_for()
    hits = page.locator('#search-results ul.search > li > a').all()
    return [(hit.inner_text(), hit.evaluate('hit => hit.href').removeprefix(f'{site.as_uri()}/')) for hit in hits]
