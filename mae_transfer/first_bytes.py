"""What a file is, whatever its name says, where its first bytes tell."""

from __future__ import annotations

_STARTS = (
    (b'version https://git-lfs', 'a pointer of Git LFS: run git lfs pull'),
    (b'<!doctype html', 'an HTML page, saved in place of {wanted}'),
    (b'<html', 'an HTML page, saved in place of {wanted}'),
    (b'<?xml', 'an XML file'),
)


def text_file(start: bytes, wanted: str) -> str:
    """What a file of text is: 'an XML file', 'a pointer of Git LFS: run git lfs pull'; '' where it cannot be told.

    Args:
        start: its first 64 bytes.
        wanted: what was expected of it, such as 'an image'.
    """
    begins = start.lstrip().lower()
    return next((what.format(wanted=wanted) for sign, what in _STARTS if begins.startswith(sign)), '')
