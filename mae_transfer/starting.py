"""Ctrl-C while the command ``mae-transfer`` is still being imported ends it in one line, as afterwards.

It imports nothing itself, because it stands before everything else.
"""

from __future__ import annotations

import os
import sys

#: Exit code of a program that Ctrl-C ended, as a shell has it; and its line.
CODE, LINE = 130, 'stopped by Ctrl-C'


class Starting:
    """What is imported within it may be stopped; in a program of a user's the ``KeyboardInterrupt`` stays."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt and _is_command():
            print(LINE, file=sys.stderr)
            raise SystemExit(CODE) from None


def _is_command() -> bool:
    """Whether the program of this process is ``mae-transfer``, or ``python -m mae_transfer.command``."""
    words = sys.orig_argv  # sys.argv has no name of the module yet
    is_module = ('-m', 'mae_transfer.command') in zip(words, words[1:])
    return is_module or os.path.basename(sys.argv[0]).partition('.')[0] == 'mae-transfer'
