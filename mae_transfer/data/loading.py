"""Images that are not there or cannot be read, told in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mmcv
import numpy as np
from mmengine.fileio import get

from ..errors import UserError


def run_pipeline(pipeline: Callable[[dict], dict | None], entry: dict, path: str) -> dict | None:
    """``pipeline(entry)``.

    Raises:
        UserError: the image at ``path`` is why the pipeline failed; other failures are raised as they are.
    """
    try:
        return pipeline(entry)
    except Exception as error:
        if (reason := why_unreadable(path)) is None:
            raise
        raise UserError(f'{path} {reason}: put it right, or take it out of the annotations') from error


def why_unreadable(path: str) -> str | None:
    """What keeps the image at ``path`` from being read; None if nothing does."""
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
    return f'({len(content)} bytes) is no image, or is cut short' if image is None else None


def check_files(
    paths: Sequence[str], told: Callable[[int], str], exists: Callable[[str], bool], most: int = 64
) -> None:
    """Look for some of the files, evenly spread, the first and the last among them.

    A wrong folder shows at once, and the 118 000 images of COCO are not all asked for on a network's disk.

    Args:
        paths: of the files.
        told: the line for the file of a number that is not there.
        exists: whether a file is there.
        most: how many to look for.

    Raises:
        UserError: one of them is not there.
    """
    chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(most, len(paths)))})
    missing = [i for i in chosen if not exists(paths[i])]
    if missing:
        raise UserError(f'{told(missing[0])} ({len(missing)} of {len(chosen)} looked for are not there)')
