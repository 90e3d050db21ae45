"""The images nearest to an image, by the cosine of their embeddings, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..classify.knn import QUERIES, nearest
from ..data.files.image_files import evenly
from ..errors import UserError, is_whole
from ..outputs import output_picture, save_picture
from ..paths import shown
from .embedding_table import EmbeddingTable
from .thumbnails import Thumbnails

#: Rows of a picture, where nobody says which.
_ROWS = 8
_SIDE, _MARGIN, _FONT = 160, 8, 12  # pixels: side of a picture, space between pictures, height of the font
_TEXT = 'black'


#: Images to look for: by names among the embeddings, by numbers, by vectors (D,) or (Q, D), or other embeddings.
Query = str | int | Sequence[str] | Sequence[int] | np.ndarray | EmbeddingTable | None


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of Q images the k nearest.

    Attributes:
        queries: names of the images; numbers as text for vectors.
        names: Q tuples of k names, nearest first.
        places: (Q, k) int64, their numbers among the embeddings.
        similarities: (Q, k) float32, cosines.
    """

    queries: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    places: np.ndarray
    similarities: np.ndarray

    def __str__(self) -> str:
        lines = []
        for query, names, similarities in zip(self.queries, self.names, self.similarities):
            found = ', '.join(f'{shown(name)} {value:.3f}' for name, value in zip(names, similarities.tolist()))
            lines.append(f'{shown(query)}: {found}')
        return '\n'.join(lines)


def find_nearest(embeddings: EmbeddingTable, query: Query = None, k: int = 5) -> Neighbours:
    """The ``k`` nearest images by cosine similarity, exactly; of equal ones, the first in order comes first.

    Args:
        embeddings: the images to look among.
        query: images among these, by names or numbers, which are not their own neighbours; vectors (D,) or (Q, D); or
            embeddings of other images by the same model. None: each of the embeddings.
        k: number of neighbours.

    Raises:
        UserError: a name or number that is not there; vectors of another length; embeddings that something else made;
            fewer images than ``k``.
    """
    queries, vectors, own = _resolve(embeddings, query)
    most = len(embeddings) - (own is not None)
    if not is_whole(k, 1) or k > most:
        raise UserError(f'k is a whole number from 1 to {most}, the images to look among; found {k!r}')
    bank, found = torch.from_numpy(embeddings.values), []
    for start in range(0, len(queries), QUERIES):
        part = torch.from_numpy(vectors[start : start + QUERIES])
        similarities, places = nearest(part, bank, k + (own is not None))
        if own is not None:
            is_other = places != torch.from_numpy(own[start : start + QUERIES])[:, None]
            is_other[is_other.all(1), -1] = False  # more than k images equal to it: the last is left out
            similarities, places = (values[is_other].view(-1, k) for values in (similarities, places))
        found.append((similarities, places))
    cosines, numbers = (torch.cat(values).numpy() for values in zip(*found))
    names = tuple(tuple(embeddings.names[place] for place in row) for row in numbers.tolist())
    return Neighbours(queries, names, numbers, cosines)


def _resolve(embeddings: EmbeddingTable, query: Query) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None]:
    """Names and vectors (Q, D) of what is looked for, and (Q,) which of the embeddings they are, if they are."""
    if isinstance(query, EmbeddingTable):
        _check_same_maker(embeddings, query)
        return query.names, query.values, None
    if isinstance(query, np.ndarray) and query.dtype.kind == 'f':
        vectors = np.atleast_2d(query).astype(np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != embeddings.values.shape[1]:
            raise UserError(f'vectors to look for have {embeddings.values.shape[1]} numbers; found {query.shape}')
        return tuple(map(str, range(len(vectors)))), vectors, None
    if query is None:
        places = list(range(len(embeddings)))
    else:
        places = [_place(embeddings, one) for one in ([query] if isinstance(query, (str, int)) else list(query))]
    if not places:
        raise UserError('nothing to look for: give names of images')
    own = np.array(places, np.int64)
    return tuple(embeddings.names[place] for place in places), embeddings.values[own], own


def _place(embeddings: EmbeddingTable, one: str | int) -> int:
    if isinstance(one, str):
        return embeddings.place(one)
    if not isinstance(one, (int, np.integer)) or not 0 <= one < len(embeddings):
        raise UserError(f'images are named, or numbered from 0 to {len(embeddings) - 1}; found {one!r}')
    return int(one)


#: What must be the same for two sets of embeddings to be compared.
_COMPARED = ('weights', 'pool', 'norm', 'image_size', 'bands', 'mean', 'std')


def _check_same_maker(embeddings: EmbeddingTable, query: EmbeddingTable) -> None:
    """Refuse vectors of another model, or of images that it saw in another way."""
    pairs = {key: (embeddings.made_by.get(key), query.made_by.get(key)) for key in _COMPARED}
    differing = [key for key, (one, other) in pairs.items() if _plain(one) != _plain(other)]
    if differing or embeddings.values.shape[1] != query.values.shape[1]:
        what = ' and '.join(differing) or 'length'
        raise UserError(f'the embeddings to look for were made with other {what}: make both by the same call')


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value  # as a file has it


def draw_nearest(embeddings: EmbeddingTable, path: str | Path, query: Query = None, k: int = 5) -> Path:
    """Draw a row for each image that is looked for: the image, and the ``k`` nearest, with names and cosines.

    Args:
        embeddings: as ``embed`` gave or wrote them; the images are read again.
        path: file to write, in a format that its suffix names, such as .png.
        query, k: as for :func:`find_nearest`, but no vectors. None: eight of the embeddings, evenly spaced.

    Raises:
        UserError: as :func:`find_nearest`; images that are no longer where they were; a file that cannot be written.
    """
    out = output_picture(path, 'path')
    if isinstance(query, np.ndarray) and query.dtype.kind == 'f':
        raise UserError('vectors cannot be drawn: give names of images, or their embeddings')
    query = evenly(len(embeddings), _ROWS) if query is None else query
    found = find_nearest(embeddings, query, k)
    of_queries = Thumbnails(query if isinstance(query, EmbeddingTable) else embeddings, _SIDE)
    of_found = Thumbnails(embeddings, _SIDE)
    rows = []
    for name, names, similarities in zip(found.queries, found.names, found.similarities.tolist()):
        row = [_cell(of_queries(name), name, 'looked for')]
        row += [_cell(of_found(other), other, f'{value:.3f}') for other, value in zip(names, similarities)]
        rows.append(row)
    save_picture(_sheet(rows), out, 'path')
    return out


def _cell(picture: Image.Image, name: str, note: str) -> Image.Image:
    """A picture in the middle of a square, with two lines below: its name, and a note."""
    font = ImageFont.load_default(size=_FONT)
    line = round(_FONT * 1.3)
    cell = Image.new('RGB', (_SIDE, _SIDE + 2 * line + _MARGIN), 'white')
    cell.paste(picture, ((_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2))
    draw = ImageDraw.Draw(cell)
    draw.text((0, _SIDE + 2), _fitting(shown(name), font), fill=_TEXT, font=font)
    draw.text((0, _SIDE + 2 + line), note, fill='dimgray', font=font)
    return cell


def _fitting(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a name that is as wide as a picture: file names differ there, and folders are alike."""
    if font.getlength(name) <= _SIDE:
        return name
    while font.getlength(f'…{name}') > _SIDE:
        name = name[1:]
    return f'…{name}'


def _sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Cells in rows, the first of each apart from the others."""
    cell, columns = rows[0][0], len(rows[0])
    apart = 3 * _MARGIN
    width = columns * (cell.width + _MARGIN) + apart + _MARGIN
    sheet = Image.new('RGB', (width, len(rows) * (cell.height + _MARGIN) + _MARGIN), 'white')
    for number, row in enumerate(rows):
        top = _MARGIN + number * (cell.height + _MARGIN)
        for column, picture in enumerate(row):
            sheet.paste(picture, (_MARGIN + column * (cell.width + _MARGIN) + apart * (column > 0), top))
    return sheet
