"""What an HTML file consists of, for tests of pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

#: Attributes by which a page loads something; a link that a reader may follow is none.
_LOADING = ('src', 'srcset', 'poster', 'data', 'action', 'background', 'xlink:href')


class Parsed(HTMLParser):
    """Tags, texts and addresses of a page.

    Attributes:
        tags: (name, attributes) in their order.
        text: what a reader sees, without scripts and styles.
        loaded: addresses of what the page loads by itself.
        unclosed: tags without an end.
    """

    _VOID = ('meta', 'link', 'img', 'br', 'hr', 'input')

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ''
        self.loaded: list[str] = []
        self.unclosed: list[str] = []
        self.source = Path(path).read_text(encoding='utf-8')
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.loaded += [value or '' for name, value in attrs if name in _LOADING]
        if tag == 'link':
            self.loaded.append(found.get('href') or '')
        if tag not in self._VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed and self.unclosed[-1] == tag, f'</{tag}> ends {self.unclosed[-3:]}'
        self.unclosed.pop()

    def handle_data(self, data: str) -> None:
        if self.unclosed[-1:] not in (['style'], ['script']):
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of a name."""
        return [attributes for name, attributes in self.tags if name == tag]
