"""Images on a plane: the same in every call, no two in one place, coloured by their folders."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.inference.embedding import Embeddings
from mae_transfer.inference.embedding_map import EmbeddingMap, cells_of, draw_map, map_of
from tests.helpers import save_photo

COUNT = 24


@pytest.fixture
def two_kinds(tmp_path) -> Embeddings:
    """Photos in two folders, whose vectors are in two heaps."""
    rng = np.random.default_rng(0)
    names = tuple(f'{"cat" if number % 2 else "dog"}/{number:02d}.png' for number in range(COUNT))
    for number, name in enumerate(names):
        save_photo(tmp_path / name, number)
    values = rng.standard_normal((COUNT, 6)) + np.arange(COUNT)[:, None] % 2 * 20
    made_by = dict(folder=str(tmp_path), bands='RGB', exif_orientation=False)
    return Embeddings(names, values.astype(np.float32), made_by)


def test_pca_gives_the_directions_of_largest_variance(two_kinds):
    found = map_of(two_kinds)
    centred = two_kinds.values.astype(np.float64) - two_kinds.values.mean(0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:2].T
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(found.explained, (singular**2 / (singular**2).sum())[:2], atol=1e-6)
    assert found.names == two_kinds.names and found.points.dtype == np.float32


@pytest.mark.parametrize('method', ['pca', 'tsne'])
def test_a_map_is_the_same_in_every_call_and_keeps_kinds_apart(method, two_kinds):
    first, second = (map_of(two_kinds, method).points for _ in range(2))
    assert np.array_equal(first, second) and first.shape == (COUNT, 2)
    one, other = first[::2], first[1::2]
    between = np.linalg.norm(one[:, None] - other, axis=2).min()
    centre = np.linalg.norm(one.mean(0) - other.mean(0))
    assert between > 0.2 * centre


def test_few_images_have_a_map_too(two_kinds):
    few = Embeddings(two_kinds.names[:3], two_kinds.values[:3])
    assert map_of(few, 'tsne').points.shape == (3, 2)
    with pytest.raises(UserError, match='^a map needs three images or more; found 2$'):
        map_of(Embeddings(two_kinds.names[:2], two_kinds.values[:2]))


def test_what_is_unknown_or_missing_is_one_line(two_kinds, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="^method is 'pca' or 'tsne'; found 'umap'$"):
        two_kinds.map(method='umap')
    with pytest.raises(UserError, match="^show is 'points' or 'photos'; found 'names'$"):
        two_kinds.map(tmp_path / 'a.png', show='names')
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    with pytest.raises(UserError, match=r"^a map needs scikit-learn: pip install 'mae_transfer\[maps\]'$"):
        two_kinds.map()


def test_folders_are_those_within_tars():
    names = ('a/b/x.jpg', 'x.jpg', 't-000.tar/cat/x.jpg', 't-001.tar/x.jpg', 'in/t-001.tar/cat/x.jpg')
    assert EmbeddingMap(names, np.zeros((5, 2)), 'tsne').folders == ('a/b', '', 'cat', '', 'cat')


def colours(path) -> set[tuple[int, ...]]:
    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert('RGB').getcolors(2**20)}


def test_points_are_coloured_by_folder(two_kinds, tmp_path):
    found = two_kinds.map(tmp_path / 'a.png')
    reds = [colour for colour in colours(tmp_path / 'a.png') if max(colour) - min(colour) > 40]
    assert len(reds) > 2
    draw_map(
        two_kinds,
        EmbeddingMap(tuple(name[4:] for name in found.names), found.points, 'pca'),
        tmp_path / 'b.png',
        'points',
    )
    assert len([colour for colour in colours(tmp_path / 'b.png') if max(colour) - min(colour) > 40]) < len(reds)


def test_many_folders_have_no_colours_of_their_own(tmp_path):
    names = tuple(f'{number // 2}/{number}.jpg' for number in range(60))
    points = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    draw_map(Embeddings(names, points), EmbeddingMap(names, points, 'pca', (0.5, 0.25)), tmp_path / 'a.png', 'points')
    assert any(max(colour) - min(colour) == 0 and 200 < colour[0] < 225 for colour in colours(tmp_path / 'a.png'))


def test_photos_are_all_shown(two_kinds, tmp_path):
    two_kinds.map(tmp_path / 'a.png', show='photos')
    with Image.open(tmp_path / 'a.png') as picture:
        sheet = np.asarray(picture.convert('RGB')).astype(int)
    is_ink = (sheet.min(2) < 250)[76:]  # below the title
    side = 56
    rows, columns = (np.add.reduceat(is_ink, range(0, is_ink.shape[axis], side), axis) for axis in (0, 1))
    assert rows.any() and columns.any()
    # Noise fills the 54 x 43 pixels of a photo of 40 x 32.
    assert abs(is_ink.sum() / (54 * 43) - COUNT) < 0.2


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_no_two_photos_are_in_one_cell(count, seed):
    points = np.random.default_rng(seed).integers(0, 4, (count, 2)).astype(float)  # many at one point
    side = int(np.ceil(np.sqrt(3 * count)))
    cells = cells_of(points, side)
    assert len({tuple(cell) for cell in cells.tolist()}) == count
    assert cells.min() >= 0 and cells.max() < side


def test_cells_are_across_and_up():
    cells = cells_of(np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), 3)
    assert cells.tolist() == [[2, 0], [0, 2], [0, 0]]
