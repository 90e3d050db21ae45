"""The files and folders that a tool writes to, checked before it starts its work."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from .errors import UserError
from .paths import shown, user_path


def output_file(path: str | Path, option: str) -> Path:
    """Check the path of a file to write, and create the folders above it.

    Args:
        option: the command-line option that gives the path, for the error message.

    Raises:
        UserError: the path is a folder; a folder above it cannot be created; it cannot be written to.
    """
    path = user_path(path, option)
    if os.path.isdir(path):
        raise UserError(f"{option}: '{shown(path)}' is a folder: name a file in it")
    output_folder(path.parent, option)
    if os.path.exists(path) and not (os.path.isfile(path) and os.access(path, os.W_OK)):
        raise UserError(f"{option}: the file '{shown(path)}' cannot be written to: choose another name")
    return path


def output_picture(path: str | Path, option: str) -> Path:
    """Check the path of a picture to write, as :func:`output_file`.

    Raises:
        UserError: as :func:`output_file`; a suffix of no format for pictures in colour.
    """
    name = user_path(path, option)
    try:
        Image.new('RGB', (8, 8)).save(io.BytesIO(), Image.registered_extensions()[name.suffix.lower()])
    except (KeyError, OSError, ValueError) as error:  # no image format, or one that cannot be written, or not in colour
        raise UserError(
            f"{option}: '{shown(name)}' must end in the suffix of an image format, such as .png or .jpg"
        ) from error
    return output_file(name, option)


def save_picture(picture: Image.Image, path: Path, option: str) -> None:
    """Write a picture; raises ``UserError`` where the format cannot hold it, or the file cannot be written."""
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f'{option}: {shown(path)} cannot hold a picture of {picture.width} x {picture.height} pixels ({error}): '
            'choose .png, or fewer images'
        ) from error


def output_folder(path: str | Path, option: str, create: bool = True) -> Path:
    """Create a folder to write to, unless it exists.

    Args:
        option: the command-line option that gives the path, for the error message.
        create: False only checks that it can be created; what writes to it creates it.

    Raises:
        UserError: it cannot be created, e.g. because a file has its name; it cannot be written to.
    """
    path = user_path(path, option)
    above = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    fault = None
    if not above.is_dir():
        fault = f"'{shown(above)}' is {'a file' if above.exists() else 'a link that leads nowhere'}"
    elif not os.access(above, os.W_OK | os.X_OK):
        fault = f"'{shown(above)}' cannot be written to"
    elif create:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fault = error.strerror
    if fault:
        raise UserError(f"{option}: the folder '{shown(path)}' cannot be created: {fault}")
    return path
