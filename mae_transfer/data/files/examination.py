"""The files of a data set that are looked at in the beginning, and what a user should know of the values in them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...paths import shown
from .image_files import evenly, warn_once
from .image_limits import quiet_tifffile
from .image_values import open_stream
from .tiff import is_full_image, is_tiff, nodata_of, tiff_series, zero_is_white

MOST_EXAMINED = 8
#: A file of one band in the products of Sentinel-2 and Landsat: T32UME_20200101_B8A_20m.tif, LC08_SR_B4.TIF.
_BAND_FILE = re.compile(r'(.*[_.-])?B(\d{1,2}|8A)([_.-]\d+m)?', re.IGNORECASE)


def examined(paths: Sequence[Path]) -> list[Path]:
    """The files that are looked at in the beginning: eight, evenly spaced, the first and the last included."""
    return [paths[place] for place in evenly(len(paths), MOST_EXAMINED)]


def note_remarks(paths: Sequence[Path], contents: Mapping[Path, bytes] | None = None) -> None:
    """Log what a user should know of the values in some files, from their headers; a line for each kind, once.

    Files that cannot be read are passed over.

    Args:
        contents: of paths that are no files of their own.
    """
    found, contents = defaultdict[str, list[Path]](list), contents or {}
    for path in paths:
        for remark in _remarks(contents.get(path, path)):
            found[remark].append(path)
    for remark, files in found.items():
        warn_once(f'{len(files)} of {len(paths)} files examined {remark}, e.g. {shown(files[0])}')
    bands = {match[2].upper(): path for path in paths if (match := _BAND_FILE.fullmatch(path.stem))}
    if len(bands) > 1:
        one, other = list(bands.values())[:2]
        warn_once(
            f'{shown(one.name)} and {shown(other.name)} look like bands of one scene, by their names, and each file '
            'is an image of its own: to see them together, stack the bands of a scene, at one resolution, in one file'
        )


def _remarks(source: Path | bytes) -> Iterator[str]:
    try:
        with open_stream(source) as stream, quiet_tifffile():
            start = stream.read(8)
            stream.seek(0)
            if is_tiff(start):
                yield from _remarks_on(tiff_series(stream))
    except (OSError, ValueError):
        return


def _remarks_on(series: Any) -> Iterator[str]:
    if zero_is_white(series):
        yield "have a grey scale in which 0 is white: values are taken as they are stored (bands='L' inverts 8 bits)"
    if (value := nodata_of(series)) is not None:
        yield (
            f"note {value:g} as 'no data', but such pixels are taken as values: give them a number within the range "
            'of the others before you measure mean and std'
        )
    others = sum(is_full_image(other) for other in series.parent.series) - 1
    if others > 0:
        yield f'hold {others + 1} images of different size or type, of which the first is read'
