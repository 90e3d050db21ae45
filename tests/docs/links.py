"""Links of documents, and the anchors that they may name."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

_FENCE = re.compile(r'^(```+).*?^\1$', re.MULTILINE | re.DOTALL)
_CODE = re.compile(r'`[^`\n]*`')
_LINK = re.compile(r'!?\[(?:[^][]|\[[^]]*\])*\]\(([^()\s]*)\)')


def links(document: Path) -> list[str]:
    """The targets of the links and pictures of a Markdown file, those in code left out."""
    text = _FENCE.sub('', document.read_text())
    # Code can be the text of a link: it is emptied, and its link stays.
    return _LINK.findall(_CODE.sub('``', text))


def anchors(document: Path) -> set[str]:
    """The anchors of a Markdown file's headings, as repositories' browsers make them."""
    found: set[str] = set()
    for heading in re.findall(r'^#+ (.+?) *$', _FENCE.sub('', document.read_text()), re.MULTILINE):
        text = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading)
        slug = re.sub(r'[^\w\- ]', '', text.lower()).replace(' ', '-')
        number = sum(re.fullmatch(rf'{re.escape(slug)}(-\d+)?', other) is not None for other in found)
        found.add(f'{slug}-{number}' if number else slug)
    return found


def fault(target: str, document: Path) -> str | None:
    """What is wrong with a link, if anything; addresses elsewhere are looked at and not fetched."""
    parts = urlsplit(target)
    if parts.scheme:
        is_address = parts.scheme == 'https' and re.fullmatch(r'[\w-]+(\.[\w-]+)+', parts.netloc)
        return None if is_address else f"'{target}' is no address that begins with https://"
    file = document.parent / parts.path if parts.path else document
    if not file.exists():
        return f"'{target}': there is no {parts.path}"
    if parts.fragment and (file.suffix != '.md' or parts.fragment not in anchors(file)):
        return f"'{target}': {file.name} has no heading #{parts.fragment}"
    return None
