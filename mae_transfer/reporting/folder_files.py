"""What a folder of several runs has beside them: the table and the pictures of the tool that made it."""

from __future__ import annotations

from pathlib import Path

from ..data.files.image_files import evenly
from ..paths import shown
from .images import read_picture
from .sections import Picture, Section, Table

#: What the tools that run many trainings, such as the quickstart and ``compare_starts``, write.
TABLE = 'table.md'


def folder_section(folder: Path, pictures: int) -> Section | None:
    """The table and the pictures of a folder; None where it has neither.

    Args:
        pictures: the most that are shown, evenly spaced in the order of their names.
    """
    text = ''
    tables: list[Table] = []
    if (folder / TABLE).is_file():
        text, tables = markdown((folder / TABLE).read_text(encoding='utf-8', errors='replace'))
    found = sorted(folder.glob('*.png'))
    chosen = [found[number] for number in evenly(len(found), pictures)]
    parts = [Picture(read_picture(path), path.stem.replace('_', ' ')) for path in chosen]
    if not tables and not text and not parts:
        return None
    return Section(f'Table and pictures of {shown(folder.absolute().name)}', text, (*tables, *parts))


def markdown(text: str) -> tuple[str, list[Table]]:
    """Markdown of the tools: what is no table, as one paragraph, and the tables."""
    paragraphs, tables, rows = [], [], []
    for line in [*text.splitlines(), '']:
        if line.startswith('|'):
            rows.append(tuple(cell.strip().replace('**', '') for cell in line.strip().strip('|').split('|')))
            continue
        if len(rows) > 1:
            head, _, *body = rows
            tables.append(Table(head, tuple((row + ('',) * len(head))[: len(head)] for row in body)))
        rows = []
        paragraphs.append(line.strip())
    return ' '.join(line for line in paragraphs if line), tables
