"""Image files that do not exist or cannot be read, reported in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mmcv
import numpy as np
from mmengine.fileio import get

from ..errors import UserError


def run_pipeline(pipeline: Callable[[dict], dict | None], entry: dict, path: str) -> dict | None:
    """``pipeline(entry)``.

    Raises:
        UserError: the pipeline failed because the image at ``path`` cannot be read; other errors are raised unchanged.
    """
    try:
        return pipeline(entry)
    except Exception as error:
        if (reason := why_unreadable(path)) is None:
            raise
        raise UserError(f'{path} {reason}: repair it, or remove it from the annotations') from error


def why_unreadable(path: str) -> str | None:
    """The reason why the image at ``path`` cannot be read; None if it can."""
    try:
        content = get(path)
    except OSError as error:
        return f'cannot be read ({error.strerror or error})'
    if not content:
        return 'is empty (0 bytes)'
    try:
        image = mmcv.imfrombytes(content, flag='unchanged')
    except Exception:
        image = None
    return f'({len(content)} bytes) is not an image, or is truncated' if image is None else None


def check_files(
    paths: Sequence[str], message: Callable[[int], str], exists: Callable[[str], bool], most: int = 64
) -> None:
    """Check that some of the files exist: evenly spaced ones, the first and the last included.

    That reveals a wrong folder at once, without asking a network disk for all of COCO's 118 000 images.

    Args:
        paths: of the files.
        message: the error message for a missing file, given its index.
        exists: whether a file exists, given its path.
        most: the greatest number of files to look for.

    Raises:
        UserError: one of them does not exist.
    """
    chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(most, len(paths)))})
    missing = [i for i in chosen if not exists(paths[i])]
    if missing:
        raise UserError(f'{message(missing[0])} ({len(missing)} of {len(chosen)} checked files are missing)')
