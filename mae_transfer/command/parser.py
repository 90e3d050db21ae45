"""The command line of a subcommand: argparse's, whose errors are one line that names what was probably meant."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NoReturn

from ..errors import UserError
from ..options import Typed

#: A word that changes a setting of the config: max_epochs=100.
_SETTING = re.compile(r'[A-Za-z_][\w.]*=')


class Parser(argparse.ArgumentParser):
    """A parser that raises ``UserError`` where argparse prints the usage and ends.

    Args:
        name: of the subcommand.
        description: a paragraph for ``--help``.
        examples: command lines for the end of it.
    """

    def __init__(self, name: str, description: str, examples: Sequence[str]) -> None:
        super().__init__(
            prog=f'mae-transfer {name}',
            description=textwrap.fill(' '.join(description.split()), 100),
            epilog='\n'.join(['examples:', *(f'  {line}' for line in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # a misspelt option is no other one
        )
        self.takes_settings = False

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message."""
        raise UserError(f'{message}; {self.prog} --help says what there is')

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The options and words of a command line.

        Raises:
            UserError: a missing word, an unknown option, a value that an option does not take, a word too many.
        """
        for word in words:
            name = word.partition('=')[0]
            # Private to argparse, which has no public list of a parser's options.
            if name.startswith('--') and len(name) > 2 and name not in self._option_string_actions:
                self.error(f'there is no option {name}{meant(name, self._option_string_actions)}')
        args, left = self.parse_known_intermixed_args(words)
        settings = [word for word in left if _SETTING.match(word)] if self.takes_settings else []
        if other := [word for word in left if word not in settings]:
            one = 'is one word too many' if len(other) == 1 else 'are words too many'
            advice = ': settings are given as KEY=VALUE' if self.takes_settings else ''
            self.error(f'{" ".join(other)} {one}{advice}')
        if settings:
            args.cfg_options = [*args.cfg_options, *settings]
        return args


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Settings of the config: ``KEY=VALUE`` words after the others, or after ``--set``."""
    if isinstance(parser, Parser):
        parser.takes_settings = True
    parser.add_argument(
        *('--set', '--cfg-options'),
        dest='cfg_options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='change settings of the config, and all that follows from them, e.g. max_epochs=100 image_size=160; '
        'KEY=VALUE at the end of the line is the same',
    )


def typed_settings(options: Sequence[str]) -> dict[str, Typed]:
    """The ``KEY=VALUE`` of a command line as ``cfg_options`` of the calls in Python: read where the config is known.

    Raises:
        UserError: no key, no value.
    """
    from ..settings import typed_option  # here, because it imports MMEngine's runner

    return dict(map(typed_option, options))


def meant(word: str, names: Iterable[str]) -> str:
    """What was probably meant by a word, as the end of a message; '' where nothing is like it."""
    close = get_close_matches(word, list(names), 1)
    return f': did you mean {close[0]}?' if close else ''
