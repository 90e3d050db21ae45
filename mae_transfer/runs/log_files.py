"""Logs on a full disk: told once, while the run goes on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from mmengine import visualization
from mmengine.logging import MMLogger, print_log

from ..registry import VISBACKENDS


@VISBACKENDS.register_module()
class LocalVisBackend(visualization.LocalVisBackend):
    """MMEngine's, except that scalars that cannot be written do not end the run: that is told once."""

    _is_told = False

    def _dump(self, value_dict: dict, file_path: str, file_format: str) -> None:
        try:
            super()._dump(value_dict, file_path, file_format)
        except OSError as error:
            if not self._is_told:
                print_log(
                    f'{file_path} is not complete: {error.strerror or error}', logger='current', level=logging.ERROR
                )
            self._is_told = True


def tell_once(logger: MMLogger) -> MMLogger:
    """Let a logger whose file cannot be written say so once, in one line; by default each line gives a traceback."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _tell_once(handler.baseFilename)  # type: ignore[method-assign, assignment]
    return logger


def _tell_once(path: str) -> Callable[[Any], None]:
    told: list[str] = []

    def handle(record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        if reason not in told:
            print(f'error: the log {path} is not complete: {reason}', file=sys.stderr)
        told.append(reason)

    return handle
