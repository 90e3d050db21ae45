"""What a person sees while a run works: lines of at most 100 columns; everything else stays in the log file.

MMEngine writes one log to two places. Here its file stays as it is, and the console gets

- what this package and a user's own parts log, without what is marked ``FILE_ONLY``;
- of MMEngine, MMCV, MMDetection and MMSegmentation errors, and in a test the tables of their metrics;
- Python's warnings that a user can act on.

With ``verbose`` the console gets everything, as MMEngine writes it.
"""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from mmengine.logging import MMLogger

from ..processes import is_main_process

#: Columns of a line on the console.
WIDTH = 100
#: ``logger.info(message, extra=FILE_ONLY)``: for the log file, and for the console with ``verbose``.
FILE_ONLY = dict(console=False)
#: Below a line's time of day.
INDENT = ' ' * len('12:34 ')
#: Between words that are not to be parted.
GLUE = '\N{NO-BREAK SPACE}'

#: Whose lines are for those who develop it.
_LIBRARIES = ('mmengine', 'mmcv', 'mmdet', 'mmseg')
#: Categories of warnings that are for those who write the code.
_FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)
#: Modules of other packages whose warnings are about the machine, or a setting: drivers, workers of data loaders.
_ABOUT_THE_MACHINE = ('torch.cuda', 'torch.utils.data')

_verbose: ContextVar[bool] = ContextVar('verbose', default=False)
_also_shown: ContextVar[tuple[str, ...]] = ContextVar('also_shown', default=())


@contextmanager
def console(verbose: bool = False) -> Iterator[None]:
    """Let the console be readable within it: lines of loggers, and warnings of Python.

    Args:
        verbose: whether everything is shown, also where it is within another one.
    """
    was_verbose = _verbose.set(verbose or _verbose.get())
    restore = for_people(MMLogger.get_current_instance())
    try:
        with warnings.catch_warnings():  # which also restores `showwarning`
            warnings.showwarning = _log_warning
            yield
    finally:
        restore()
        _verbose.reset(was_verbose)


@contextmanager
def also_shown(*modules: str) -> Iterator[None]:
    """Let the console within it show what these modules log, such as ``mmseg.evaluation``."""
    before = _also_shown.set(modules)
    try:
        yield
    finally:
        _also_shown.reset(before)


def for_people(logger: MMLogger) -> Callable[[], None]:
    """Let a logger of MMEngine's write readable lines to the console, unless all is to be shown.

    Returns:
        What gives it back as it was.
    """
    before = []
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler) or not isinstance(handler, logging.StreamHandler):
            continue
        before.append((handler, handler.level, handler.formatter, [*handler.filters]))
        if not is_main_process():  # MMEngine asks the process group, which is not there from the beginning
            handler.setLevel(logging.ERROR)
        handler.filters = [filter_ for filter_ in handler.filters if not isinstance(filter_, _ForPeople)]
        if not _verbose.get():
            handler.addFilter(_ForPeople())
            handler.setFormatter(_Lines(handler.stream))

    def restore() -> None:
        for handler, level, formatter, filters in before:
            handler.setLevel(level)
            handler.setFormatter(formatter)
            handler.filters = filters

    return restore


def log_to_file(message: str, level: int = logging.INFO) -> None:
    """Log for the file of the current run, and for the console with ``verbose``."""
    MMLogger.get_current_instance().log(level, message, extra=FILE_ONLY)


def log_table(table: str) -> None:
    """Log a table of metrics; the console has it in a test, in a training the log file alone."""
    MMLogger.get_current_instance().info(f'\n{table}', extra=dict(console=bool(_also_shown.get())))


def wrapped(text: str, width: int = WIDTH, indent: str = INDENT) -> str:
    """Text whose lines have at most ``width`` columns, where no word is longer; ``GLUE`` becomes a blank.

    Args:
        indent: before what is carried over; the second line of a text, and all that follow, are indented by it, too.
    """
    lines = []
    for number, line in enumerate(text.split('\n')):
        own = (indent if number else '') + line
        carried = indent + (' ' * (len(line) - len(line.lstrip()) + 2) if number else '')
        fold = textwrap.TextWrapper(width, subsequent_indent=carried, break_long_words=False, break_on_hyphens=False)
        lines.append(own if len(own) <= width else fold.fill(own))
    return '\n'.join(lines).replace(GLUE, ' ')


class _ForPeople(logging.Filter):
    """Passes what is marked for the console, errors, and what is not logged by a library that we stand on."""

    def filter(self, record: logging.LogRecord) -> bool:
        marked = getattr(record, 'console', None)
        if marked is not None:
            return bool(marked)
        module = _logging_module()
        is_library = module.partition('.')[0] in _LIBRARIES and not _is_of(module, _also_shown.get())
        return record.levelno >= logging.ERROR or not is_library


class _Lines(logging.Formatter):
    """The time of day, the level unless it is INFO, and the message, or what ``record.console`` has in its place."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._is_terminal = stream.isatty()

    def format(self, record: logging.LogRecord) -> str:
        marked = getattr(record, 'console', None)
        text = marked if isinstance(marked, str) and not _verbose.get() else record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f'{record.levelname.lower()}: {text}'
        if record.exc_info:
            text = f'{text}\n{self.formatException(record.exc_info)}'
        if text.startswith('\n'):  # a table
            return text[1:]
        text = f'{time.strftime("%H:%M", time.localtime(record.created))} {text}'
        if not self._is_terminal:
            return wrapped(text)
        # A progress that is being told has the line: it is cleared first.
        return '\r\033[K' + wrapped(text, min(WIDTH, shutil.get_terminal_size().columns))


def _logging_module() -> str:
    """The module that logs: the nearest one on the stack outside of the machinery of logging."""
    for frame, _ in traceback.walk_stack(None):
        module = frame.f_globals.get('__name__', '')
        if not _is_of(module, ('logging', 'mmengine.logging.logger', __name__)):
            return module
    return ''


def _is_of(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f'{name}.') for name in names)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In the place of ``warnings.showwarning``: for the log file, and for the console if a user can act on it."""
    text = warnings.formatwarning(message, category, filename, lineno, '').strip()
    shown: Any = str(message) if _can_be_acted_on(category, filename) else False
    MMLogger.get_current_instance().warning(text, extra=dict(console=shown))


def _can_be_acted_on(category: type[Warning], filename: str) -> bool:
    """Whether a warning is about what a user has or set; not about the code of an installed package."""
    if issubclass(category, _FOR_DEVELOPERS):
        return False
    own = Path(__file__).parents[1]
    for folder in map(Path, filter(None, sys.path)):
        path = Path(filename)
        if folder.name in ('site-packages', 'dist-packages') and path.is_relative_to(folder):
            module = '.'.join(path.relative_to(folder).with_suffix('').parts)
            return path.is_relative_to(own) or _is_of(module, _ABOUT_THE_MACHINE)
    return True
