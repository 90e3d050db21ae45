"""What papers and other projects published for a packaged config: its docstring says so, with the source."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from ..compat.package_configs import PREFIX, config_path
from ..experiments.start_comparison import TASKS

#: Metrics by the titles of our tables, which the docstrings use.
_TITLES = tuple(dict.fromkeys(title for task in TASKS.values() for title in task.metrics))
#: What begins another paragraph of a docstring.
_NEXT = ('Cost:', 'Train:', 'Test:', 'Own ', 'Recipe:')


@dataclass(frozen=True)
class Published:
    """A published result; nothing of it was measured here.

    Attributes:
        config: the name of the config that it is for.
        text: what the config says, with the sources.
        values: by the title of the metric, the first value that is stated of each.
        source: of these values.
    """

    config: str
    text: str
    values: dict[str, float]
    source: str


def published(name: str) -> Published | None:
    """What is published for a packaged config, ``mae_transfer::NAME.py``; None where its docstring has no result."""
    docstring = ast.get_docstring(ast.parse(config_path(name).read_text(encoding='utf-8'))) or ''
    lines = docstring.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith('Reported')), None)
    if begin is None:
        return None
    end = next((n for n in range(begin + 1, len(lines)) if not lines[n] or lines[n].startswith(_NEXT)), len(lines))
    text = ' '.join(lines[begin:end])
    values = {}
    for title in _TITLES:
        found = re.search(rf'(\d+(?:\.\d+)?) {re.escape(title)}\b|^Reported {re.escape(title)}: (\d+(?:\.\d+)?)', text)
        if found:
            values[title] = float(found[1] or found[2])
    source = re.search(r'\(quoted: ([^);]+)', text)
    if not values or source is None:
        return None
    return Published(name.removeprefix(PREFIX), text.partition(': ')[2], values, source[1])
