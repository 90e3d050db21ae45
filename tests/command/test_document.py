"""docs/command.md: each subcommand has a row, and an example that parses."""

from __future__ import annotations

import re
import shlex

from mae_transfer.command.main import SUBCOMMANDS, parser_of
from tests.docs.documents import REPOSITORY, commands

DOCUMENT = REPOSITORY / 'docs' / 'command.md'


def test_each_subcommand_has_a_row_and_an_example_that_parses():
    rows = re.findall(r'^\| `(\w+)', DOCUMENT.read_text(), re.MULTILINE)
    assert rows == list(SUBCOMMANDS)
    lines = [shlex.split(command.line) for command in commands(DOCUMENT)]
    assert sorted(words[1] for words in lines) == sorted(SUBCOMMANDS)
    for program, name, *words in lines:
        assert program == 'mae-transfer'
        parser_of(name).parse(words)
