"""The files and folders that a tool writes to, checked before it starts its work."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError


def output_file(path: str | Path, option: str) -> Path:
    """Check the path of a file to write, and create the folders above it.

    Args:
        option: the command-line option that gives the path, for the error message.

    Raises:
        UserError: the path is a folder; a folder above it cannot be created.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{option}: '{path}' is a folder: name a file in it")
    output_folder(path.parent, option)
    return path


def output_folder(path: str | Path, option: str) -> Path:
    """Create a folder to write to, unless it exists.

    Args:
        option: the command-line option that gives the path, for the error message.

    Raises:
        UserError: it cannot be created, e.g. because a file has its name.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option}: the folder '{path}' cannot be created: {error.strerror}") from None
    return path
