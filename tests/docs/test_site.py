"""The documents as a site: it builds without warnings, its links lead somewhere, and it needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import mae_transfer
from tests.browser import open_browser
from tests.docs.documents import REPOSITORY
from tests.docs.links import anchors, fault, links
from tests.docs.site import search

DOCS = REPOSITORY / 'docs'
DOCUMENTS = [*sorted(DOCS.rglob('*.md')), *map(REPOSITORY.joinpath, ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'))]
#: What `import mae_transfer` offers beside its modules.
CALLS = set(mae_transfer.__all__) - {'__version__', 'compat', 'registry'}


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize('document', DOCUMENTS, ids=name_of)
def test_links_of_a_document_lead_somewhere(document):
    assert [found for target in links(document) if (found := fault(target, document))] == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        '# One `two`, three\n\n[a](page.md#one-two-three) [b](page.md#four) [c](no.md) '
        '[d](https://x.org/y) [e](http:y)\n'
        '`[f](code.md)` [`g`](https://x)\n\n```sh\n[h](block.md)\n# no heading\n```\n'
    )
    assert anchors(page) == {'one-two-three'}
    assert [target for target in links(page) if fault(target, page)] == ['page.md#four', 'no.md', 'http:y', 'https://x']


class Page(HTMLParser):
    """What a page links, loads and can be linked by.

    Attributes:
        links: targets of its links.
        loads: what a browser loads with it: scripts, styles, pictures.
        ids: its anchors.
    """

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        if 'id' in found:
            self.ids.add(found['id'])
        if tag == 'a' and 'href' in found:
            self.links.append(found['href'])
        if tag == 'link' and found.get('rel') not in ('search', 'next', 'prev', 'index'):
            self.loads.append(found['href'])
        if 'src' in found:
            self.loads.append(found['src'])


def check_pages(site: Path) -> None:
    """Raise where a page links what is not there, or loads anything from elsewhere."""
    pages = {file: Page(file.read_text()) for file in site.rglob('*.html')}
    for file, page in pages.items():
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme in ('http', 'https'):
                assert target not in page.loads, f'{file.name} loads {target}'
                continue
            other = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert other.is_file(), f'{file.relative_to(site)}: {target}'
            if parts.fragment and other.suffix == '.html':
                assert unquote(parts.fragment) in pages[other].ids, f'{file.relative_to(site)}: {target}'
    for style in site.rglob('*.css'):
        assert not re.search(r'(url\(|@import\s+)["\']?(https?:)?//', style.read_text()), style


def test_the_guides_build_without_warnings_and_lead_somewhere(guides):
    check_pages(guides)
    shown = (guides / 'source/configs/coco_vitdet_vitb.py.html').read_text()
    assert '<h1>configs/coco_vitdet_vitb.py</h1>' in shown and 'mask_rcnn_vitdet_b_100ep.py' in shown
    assert 'Two commands' in (guides / 'overview.html').read_text()


def test_every_document_is_in_the_navigation(guides):
    page = Page((guides / 'index.html').read_text())
    expected = {str(path.relative_to(DOCS).with_suffix('.html')) for path in DOCS.rglob('*.md')} - {'index.html'}
    assert expected <= set(page.links)
    listed = re.findall(r'^- \[(.+)\]\((\S+\.md)\): \S', (DOCS / 'index.md').read_text(), re.MULTILINE)
    assert {page.replace('.md', '.html') for _, page in listed} == expected
    titles = {page: (DOCS / page).read_text().partition('\n')[0].removeprefix('# ') for _, page in listed}
    assert titles == {page: title for title, page in listed}


def test_pages_open_from_the_disk_without_a_request_that_leaves(guides):
    with open_browser() as browser:
        page = browser.new_page()
        requests, errors = [], []
        page.on('request', lambda request: requests.append(request.url))
        page.on('pageerror', lambda error: errors.append(str(error)))
        for name in ('index', 'questions', 'reference/vit', 'source/configs/mae_pretrain_vitb.py'):
            page.goto((guides / f'{name}.html').as_uri())
            assert page.locator('article h1').is_visible() and page.locator('.sidebar-tree').is_visible(), name
        assert errors == []
        assert len(search(page, guides, 'checkpoint')) > 3
        assert len(requests) > 20 and {urlsplit(url).scheme for url in requests} <= {'file', 'data'}


def test_every_call_has_a_place_in_the_reference():
    text = (DOCS / 'reference' / 'calls.md').read_text()
    assert all(f'.. autofunction:: mae_transfer.{name}\n' in text for name in CALLS)


@pytest.mark.slow
def test_the_whole_site_builds_without_warnings_and_has_the_reference(whole_site):
    check_pages(whole_site)
    ids = Page((whole_site / 'reference/calls.html').read_text()).ids
    assert {f'mae_transfer.{name}' for name in CALLS} <= ids
    vit = (whole_site / 'reference/vit.html').read_text()
    assert 'side of a patch; default' in vit and 'Returns' in vit


def test_a_warning_ends_the_build(tmp_path):
    (tmp_path / 'index.md').write_text('# Title\n\n[nothing](none.md)\n')
    (tmp_path / 'conf.py').write_text('extensions = ["myst_parser"]\n')
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '-b', 'html', str(tmp_path), str(tmp_path / 'out')]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode != 0 and 'none.md' in ended.stderr
