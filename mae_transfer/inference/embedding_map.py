"""EmbeddingTable on a plane, by PCA or t-SNE, and a picture of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from ..data.files.image_files import evenly
from ..errors import UserError
from ..outputs import output_picture, save_picture
from ..paths import shown
from .embedding_table import EmbeddingTable
from .thumbnails import Thumbnails

METHODS = ('pca', 'tsne')
SHOWN = ('points', 'photos')
#: Folders that have a colour of their own.
_COLOURS = 20
#: Photos on a map, and cells of the map for each: more would hide each other.
_PHOTOS, _CELLS_EACH = 500, 3
_SIDE, _MARGIN, _TITLE = 56, 24, 28  # pixels: side of a photo's cell, border of the map, height of its title


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """N images on a plane.

    Attributes:
        names: of the images.
        points: (N, 2) float32.
        method: one of :data:`METHODS`.
        explained: PCA's shares of the variance on both axes; None for t-SNE, whose axes and distances mean nothing.
    """

    names: tuple[str, ...]
    points: np.ndarray
    method: str
    explained: tuple[float, float] | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """The folder of each image; of photos in tar files that within the tar."""
        return tuple(re.sub(r'^.*\.tar(/|$)', '', name.rpartition('/')[0]) for name in self.names)

    @property
    def title(self) -> str:
        """What the map shows, in a line."""
        if self.explained is None:
            return f't-SNE of {len(self.names)} embeddings'
        return (
            f'PCA of {len(self.names)} embeddings: {100 * self.explained[0]:.0f} % of the variance across, '
            f'{100 * self.explained[1]:.0f} % up'
        )


def check_map_package() -> None:
    """Refuse a map, before any work, where scikit-learn is missing; raises ``UserError``."""
    if find_spec('sklearn') is None:
        raise UserError("a map needs scikit-learn: pip install 'mae_transfer[maps]'")


def map_of(embeddings: EmbeddingTable, method: str = 'pca') -> EmbeddingMap:
    """The images on a plane, the same in every call.

    Args:
        embeddings: of three images or more.
        method: 'pca': the two directions of largest variance; 'tsne': t-SNE from there, with a perplexity of 30, or
            fewer for few images.

    Raises:
        UserError: an unknown method; too few images; scikit-learn is missing.
    """
    if method not in METHODS:
        raise UserError(f'method is {" or ".join(map(repr, METHODS))}; found {method!r}')
    if len(embeddings) < 3 or embeddings.values.shape[1] < 2:
        raise UserError(f'a map needs three images or more; found {len(embeddings)}')
    check_map_package()
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    values = embeddings.values.astype(np.float64)
    if method == 'tsne':
        perplexity = min(30.0, (len(values) - 1) / 3)
        points = TSNE(perplexity=perplexity, init='pca', random_state=0, n_jobs=1).fit_transform(values)
        return EmbeddingMap(embeddings.names, points.astype(np.float32), method)
    pca = PCA(2, svd_solver='full').fit(values)
    shares = pca.explained_variance_ratio_.tolist()
    return EmbeddingMap(
        embeddings.names, pca.transform(values).astype(np.float32), method, (float(shares[0]), float(shares[1]))
    )


def draw_map(embeddings: EmbeddingTable, found: EmbeddingMap, path: str | Path, show: str | None = None) -> Path:
    """Draw a map.

    Args:
        embeddings: of its images, as embed gave or wrote them; for photos the images are read again.
        found: the map.
        path: file to write, in a format that its suffix names, such as .png.
        show: 'points', coloured by folder; 'photos', each in the free cell nearest to its point, at most 500, evenly
            spaced in the order of the images. None: points where the images are in several folders, otherwise photos.

    Raises:
        UserError: an unknown ``show``; images that are no longer where they were; a file that cannot be written.
    """
    out = output_picture(path, 'path')
    if show is None:
        show = 'points' if len(set(found.folders)) > 1 else 'photos'
    if show not in SHOWN:
        raise UserError(f'show is {" or ".join(map(repr, SHOWN))}; found {show!r}')
    save_picture(_of_points(found) if show == 'points' else _of_photos(embeddings, found), out, 'path')
    return out


def _of_points(found: EmbeddingMap) -> Image.Image:
    """Points, coloured by folder; the largest folders have colours of their own."""
    folders = found.folders
    largest = [folder for folder, _ in Counter(folders).most_common(_COLOURS)]
    others = len(set(folders)) - len(largest)
    palette = colormaps['tab10' if len(largest) <= 10 else 'tab20']  # whose second half is pale
    figure = Figure((10, 7), 120, layout='constrained')
    plot = figure.add_subplot()
    text: dict[str, Any] = dict(parse_math=False)
    marks: dict[str, Any] = dict(s=max(6, min(30, 12000 / len(folders))), alpha=0.8, linewidths=0)
    for colour, folder in zip([None] * bool(others) + list(range(len(largest))), [''] * bool(others) + sorted(largest)):
        chosen = [(name not in largest) if colour is None else name == folder for name in folders]
        label = f'{others} other folders' if colour is None else _short(shown(folder) or 'no folder')
        shade = 'lightgray' if colour is None else palette(colour)
        plot.scatter(*found.points[chosen].T, color=shade, label=label, **marks)
    plot.set_title(found.title, **text)
    plot.set_xticks([])
    plot.set_yticks([])
    if len(largest) > 1:
        legend = figure.legend(loc='outside right upper', fontsize=8, markerscale=1.5, frameon=False)
        for entry in legend.get_texts():
            entry.set_parse_math(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f'…{name[1 - most :]}'


def _of_photos(embeddings: EmbeddingTable, found: EmbeddingMap) -> Image.Image:
    """Photos in the cells of a square."""
    places = evenly(len(found.names), _PHOTOS)
    side = int(np.ceil(np.sqrt(_CELLS_EACH * len(places))))
    cells = cells_of(found.points[places], side)
    thumbnails = Thumbnails(embeddings, _SIDE - 2)
    title = found.title + (f'; {len(places)} of them shown' if len(places) < len(found.names) else '')
    top = 2 * _MARGIN + _TITLE
    sheet = Image.new('RGB', (side * _SIDE + 2 * _MARGIN, side * _SIDE + top + _MARGIN), 'white')
    ImageDraw.Draw(sheet).text((_MARGIN, _MARGIN), title, fill='black', font=ImageFont.load_default(size=_TITLE))
    for place, (row, column) in zip(places, cells.tolist()):
        picture = thumbnails(found.names[place])
        left, above = (_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2
        sheet.paste(picture, (_MARGIN + column * _SIDE + left, top + row * _SIDE + above))
    return sheet


def cells_of(points: np.ndarray, side: int) -> np.ndarray:
    """A cell of a square of ``side`` x ``side`` cells for each point, no two in one: the free one nearest to it.

    Args:
        points: (N, 2), across and up; N is at most side * side.

    Returns:
        (N, 2) int64: row, from the top, and column.
    """
    low, high = points.min(0), points.max(0)
    span = np.where(high > low, high - low, 1.0)
    wanted = ((points - low) / span * (side - 1))[:, ::-1]  # up, across
    wanted = np.stack([side - 1 - wanted[:, 0], wanted[:, 1]], 1)
    rows, columns = np.divmod(np.arange(side * side), side)
    is_free = np.ones(side * side, bool)
    cells = np.empty((len(points), 2), np.int64)
    for number, (row, column) in enumerate(wanted):
        distances = np.where(is_free, (rows - row) ** 2 + (columns - column) ** 2, np.inf)
        cell = int(distances.argmin())
        is_free[cell] = False
        cells[number] = rows[cell], columns[cell]
    return cells
