"""Why a file that is named like an image is none, where its first bytes tell."""

from __future__ import annotations

import os

from ...errors import UserError
from ...first_bytes import text_file
from ...paths import shown

_STARTS = ((b'<svg', 'is an SVG drawing: save it as PNG'), (b'%pdf', 'is a PDF: save it as PNG'))
_HEIF = (b'heic', b'heix', b'hevc', b'mif1', b'msf1')


class UnreadableError(UserError):
    """An image or a label map that cannot be read, or an image whose values are not what the settings say.

    Args:
        path: of the file.
        reason: what is wrong with it, e.g. 'is empty'.
        advice: what to do.
    """

    def __init__(self, path: str, reason: str = '', advice: str = ''):  # torch repeats a worker's error by its message
        super().__init__(f'{path} {reason}'.strip() + (f': {advice}' if advice else ''))
        self.path, self.reason = path, reason


def why_unreadable(path: str | os.PathLike, error: Exception) -> str:
    """The reason in a few words; '' where it cannot be told.

    Args:
        error: with which reading failed.
    """
    if isinstance(error, FileNotFoundError):
        return 'does not exist'
    if isinstance(error, PermissionError):
        return 'may not be read'
    try:
        with open(path, 'rb') as file:
            start = file.read(64)
    except (OSError, ValueError):
        return ''
    return told_by(start)


def told_by(start: bytes) -> str:
    """What a file is, by its first 64 bytes, if it is no image; '' where they do not tell."""
    if not start:
        return 'is empty'
    if start[4:8] == b'ftyp' and start[8:12] in _HEIF:
        return 'is HEIC: save it as JPEG'
    if text := text_file(start, 'an image'):
        return f'is {text}'
    return next((reason for sign, reason in _STARTS if start.lstrip().lower().startswith(sign)), '')


def not_left_out(path: str | os.PathLike, reason: str) -> str:
    """The error of an evaluation that meets an unreadable image.

    Args:
        reason: from :func:`why_unreadable`.
    """
    return f'{shown(path)} {reason or "cannot be read as an image"}: an evaluation leaves no image out; restore it'
