"""What the documents show: files to be written, commands to be typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import mae_transfer

REPOSITORY = Path(mae_transfer.__file__).parents[1]
_FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command line of a document: its words after the shell's quoting, and where it stands."""

    document: str
    line: str


def files(document: Path) -> dict[str, str]:
    """The files that a document shows in full, by the path in their first line."""
    blocks = [text for kind, text in _FENCE.findall(document.read_text()) if kind == 'python']
    return {match[1]: text for text in blocks if (match := re.match(r'# (\S+\.py)\n', text))}


def commands(document: Path) -> list[Command]:
    """The command lines of a document: in its blocks of bash, and indented lines that begin with a tool."""
    text = document.read_text()
    lines = [line for kind, block in _FENCE.findall(text) if kind == 'bash' for line in block.splitlines()]
    indented = re.sub(r'\\?\n {8}(?=\S)', ' ', _FENCE.sub('', text))
    lines += re.findall(r'^ {4}((?:PYTHONPATH=\. )?tools/.*)$', indented, re.MULTILINE)
    lines = [re.sub(r'\s+#.*', '', line).strip() for line in lines]
    return [Command(str(document.relative_to(REPOSITORY)), line) for line in lines if line and line[0] != '#']
