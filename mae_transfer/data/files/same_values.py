"""Do data sets that one model meets hold values of one type?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...paths import shown
from .image_reader import ImageReader
from .loading import reader_of


def check_same_values(datasets: Iterable[Any]) -> None:
    """Compare the types of the values in the files of data sets, and of those within wrappers.

    8-bit pictures, which are read as 'RGB' or 'L', are not compared.

    Raises:
        UserError: several types, such as uint8 and uint16: one mean and deviation cannot be right for both.
    """
    known = [(place, reader.dtype) for dataset in datasets for place, reader in _readers(dataset) if reader.dtype]
    for place, dtype in known[1:]:
        if dtype != known[0][1]:
            raise UserError(
                f'{shown(place)} has values of {dtype}, but {shown(known[0][0])} has {known[0][1]}: convert all to one '
                'type and scale'
            )


def _readers(dataset: Any) -> Iterator[tuple[Path | str, ImageReader]]:
    """The readers of a data set's images, with the place of the images."""
    if isinstance(reader := getattr(dataset, 'reader', None), ImageReader):
        yield dataset.root, reader
    elif hasattr(dataset, 'pipeline'):
        if reader := reader_of(dataset.pipeline):
            prefix = getattr(dataset, 'data_prefix', {})
            yield prefix.get('img') or prefix.get('img_path') or dataset.data_root, reader
    else:
        for inner in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
            if inner is not None:
                yield from _readers(inner)
