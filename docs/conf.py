"""The documents as a site: python -m sphinx -W -b html docs OUT, then open OUT/index.html; nothing needs a network.

The pages are Markdown that a repository's own browser shows, too, so nothing in them is Sphinx's but the reference.
What a site needs beyond that is made here: the navigation from the lists of index.md; README, CHANGELOG and
CONTRIBUTING as pages; pages for the source files that are linked.
With -t guides nothing of the package is imported, and the reference has headings alone: for a quick look.
"""

from __future__ import annotations

import inspect
import posixpath
import re
import sys
from collections.abc import Iterator
from html import escape
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

release = run_path(str(ROOT / 'mae_transfer/version.py'))['__version__']

project = 'mae_transfer'
html_title = f'mae_transfer {release}'
html_theme = 'furo'
html_copy_source = False
html_show_copyright = False
html_static_path = ['_static']
html_css_files = ['site.css']
html_search_scorer = str(ROOT / 'docs/_static/search_order.js')
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.linkcode']
exclude_patterns = ['_build']
smartquotes = False  # 'base' is typed as it stands
myst_heading_anchors = 4

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
napoleon_use_ivar = True  # Attributes are described once, in the class

#: Pages that are files at the top of the repository.
TOP_FILES = {'overview': 'README.md', 'changelog': 'CHANGELOG.md', 'contributing': 'CONTRIBUTING.md'}
_LINK = re.compile(r'\]\(([^()\s]+)\)')


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Make a page of the site from a document of the repository."""
    if name in TOP_FILES:
        file = ROOT / TOP_FILES[name]
        app.env.note_dependency(str(file))
        source[0] = _LINK.sub(lambda link: f']({_from_docs(link[1])})', file.read_text())
    source[0] = _LINK.sub(lambda link: f']({_to_page(link[1], name)})', source[0])
    if name == 'index':
        source[0] += navigation(source[0])
    if app.tags.has('guides'):
        source[0] = re.sub(r'^```\{eval-rst\}\n.*?^```$', '', source[0], flags=re.MULTILINE | re.DOTALL)


def _from_docs(target: str) -> str:
    """The target of a link at the top of the repository, seen from docs/."""
    if target.startswith('#') or '://' in target:
        return target
    return target.removeprefix('docs/') if target.startswith('docs/') else f'../{target}'


def _to_page(target: str, name: str) -> str:
    """The target of a link, with pages in place of the files at the top."""
    path, mark, anchor = target.partition('#')
    place = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
    for page, file in TOP_FILES.items():
        if place == f'../{file}':
            return posixpath.relpath(f'{page}.md', posixpath.dirname(name) or '.') + mark + anchor
    return target


def navigation(index: str) -> str:
    """A hidden table of contents for each section of index.md, of the pages that its lists begin with."""
    parts = []
    for section in re.split(r'^## ', index, flags=re.MULTILINE)[1:]:
        entries = re.findall(r'^- \[([^]]+)\]\((\S+)\.md\)', section, re.MULTILINE)
        lines = [f'{title} <{page}>' for title, page in entries]
        parts += ['', '```{toctree}', ':hidden:', f':caption: {section.splitlines()[0]}', '', *lines, '```']
    return '\n'.join([*parts, ''])


def link_sources(app: Sphinx, tree: nodes.document) -> None:
    """Let links to Python files lead to pages that show them."""
    name = app.env.docname
    for link in list(tree.findall(download_reference)):
        path = posixpath.normpath(posixpath.join('docs', posixpath.dirname(name), link['reftarget']))
        if path.endswith('.py'):
            uri = posixpath.relpath(f'source/{path}.html', posixpath.dirname(name) or '.')
            link.replace_self(nodes.reference('', '', *link.children, refuri=uri, internal=True))


def collect_sources(app: Sphinx, tree: nodes.document) -> None:
    """Note the Python files that a page links, for :func:`source_pages`."""
    uris = [link['refuri'] for link in tree.findall(nodes.reference) if 'source/' in link.get('refuri', '')]
    found = {uri.partition('source/')[2].partition('.html')[0] for uri in uris if '://' not in uri}
    linked_sources(app)[app.env.docname] = found


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Where the reference, whose pages are in one folder, links the source of an object."""
    found = import_module(info['module'])
    try:
        for name in info['fullname'].split('.'):
            found = getattr(found, name)
        file, (_, line) = inspect.getsourcefile(inspect.unwrap(found)), inspect.getsourcelines(found)
    except (AttributeError, TypeError):  # an attribute, or a value
        return None
    path = Path(file or '').relative_to(ROOT)
    return f'../source/{path}.html#line-{line}' if path.suffix == '.py' else None


def linked_sources(app: Sphinx) -> dict[str, set[str]]:
    """{page: the Python files that it links}."""
    if not hasattr(app.env, 'linked_sources'):
        app.env.linked_sources = {}
    return app.env.linked_sources


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each Python file that is linked."""
    for path in sorted(set().union(*linked_sources(app).values())):
        code = app.builder.highlighter.highlight_block((ROOT / path).read_text(), 'python', lineanchors='line')
        yield (
            f'source/{path}',
            {'title': path, 'body': f'<div class="source"><h1>{escape(path)}</h1>\n{code}</div>'},
            'page.html',
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect('source-read', read_page)
    app.connect('doctree-read', link_sources, priority=400)  # before Sphinx collects the files to copy
    app.connect('doctree-read', collect_sources, priority=600)  # after linkcode
    app.connect('html-collect-pages', source_pages)
    return {'parallel_read_safe': False, 'parallel_write_safe': True}
