"""The nearest images, and a picture of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from mae_transfer.errors import UserError
from mae_transfer.inference import neighbours
from mae_transfer.inference.embedding import Embeddings, embed
from tests.helpers import save_photo
from tests.inference.test_bare_vit import saved


def table(values, **settings) -> Embeddings:
    values = np.asarray(values, np.float32)
    return Embeddings(tuple(f'{number}.png' for number in range(len(values))), values, **settings)


def test_the_nearest_come_first_and_an_image_is_not_its_own_neighbour():
    embeddings = table([[1, 0], [9, 1], [0, 2], [-1, 0]])
    found = embeddings.nearest(k=2)
    assert found.queries == embeddings.names
    assert found.names == (('1.png', '2.png'), ('0.png', '2.png'), ('1.png', '0.png'), ('2.png', '1.png'))
    assert found.places.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    np.testing.assert_allclose(found.similarities[0], [9 / 82**0.5, 0], atol=1e-6)
    assert str(found).splitlines()[0] == '0.png: 1.png 0.994, 2.png 0.000'


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 10**6))
def test_they_are_those_of_all_cosines(count, width, seed):
    values = np.random.default_rng(seed).integers(-2, 3, (count, width)).astype(np.float32)  # with many ties
    found = table(values).nearest(k=count - 1)
    for row, (places, cosines) in enumerate(zip(found.places, found.similarities)):
        assert sorted([row, *places]) == list(range(count))
        lengths = np.linalg.norm(values, axis=1)
        expected = values @ values[row] / np.maximum(lengths * lengths[row], 1e-12)
        np.testing.assert_allclose(cosines, expected[places], atol=1e-5)
        assert (np.diff(cosines) <= 0).all()


def test_images_that_are_all_alike():
    found = table(np.ones((5, 2))).nearest(k=2)
    assert found.places.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_what_is_looked_for_is_named_numbered_or_given(monkeypatch):
    monkeypatch.setattr(neighbours, 'QUERIES', 2)
    embeddings = table(np.random.default_rng(0).standard_normal((6, 3)))
    whole = embeddings.nearest(k=3)
    for query in (['3.png', '1.png'], [3, 1], np.array([3, 1])):
        found = embeddings.nearest(query, k=3)
        assert found.queries == ('3.png', '1.png') and np.array_equal(found.places, whole.places[[3, 1]])
    assert embeddings.nearest('3.png', k=3).names == whole.names[3:4]
    by_vectors = embeddings.nearest(embeddings.values[2], k=4)
    assert by_vectors.queries == ('0',) and by_vectors.places[0].tolist() == [2, *whole.places[2]]
    others = Embeddings(('new.png',), embeddings.values[2:3] * 5)
    assert embeddings.nearest(others, k=1).names == (('2.png',),)


@pytest.mark.parametrize(
    'query, k, line',
    [
        ('z.png', 1, "no embedding of 'z.png'"),
        (9, 1, 'images are named, or numbered from 0 to 3; found 9'),
        ([], 1, 'nothing to look for'),
        (np.zeros(3, np.float32), 1, r'vectors to look for have 2 numbers; found \(3,\)'),
        (None, 4, 'k is a whole number from 1 to 3, the images to look among; found 4'),
        (None, 0, 'k is a whole number from 1 to 3'),
        (table([[1, 0]], made_by=dict(pool='class')), 1, 'the embeddings to look for were made with other pool: make'),
        (table([[1, 0, 0]]), 1, 'the embeddings to look for were made with other length'),
    ],
)
def test_a_mistake_is_one_line(query, k, line):
    with pytest.raises(UserError, match=f'^{line}'):
        table([[1, 0], [9, 1], [0, 2], [-1, 0]]).nearest(query, k)


@pytest.fixture(scope='module')
def own(tmp_path_factory):
    """Embeddings of smooth photos by a ViT of random weights, and their folder."""
    folder = tmp_path_factory.mktemp('photos')
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (3, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((80 + 4 * number, 64), Image.Resampling.BICUBIC).save(folder / f'{number}.png')
    weights = saved(folder.parent / 'vit.pth')
    return embed(weights, folder, arch='48x2x3', device='cpu'), folder, weights


def test_the_nearest_of_an_images_own_crop_is_the_image(own, tmp_path):
    torch.manual_seed(0)
    embeddings, folder, weights = own
    for name in embeddings.names:
        with Image.open(folder / name) as image:
            width, height = image.size
            image.crop((2, 2, width - 2, height - 2)).save(tmp_path / name)
    crops = embed(weights, tmp_path, arch='48x2x3', device='cpu')
    assert embeddings.nearest(crops, k=1).names == tuple((name,) for name in crops.names)


def test_a_picture_shows_each_image_and_its_neighbours(own, tmp_path):
    embeddings, folder, _ = own
    path = embeddings.picture_of_nearest(tmp_path / 'new' / 'a.png', ['3.png', '0.png'], k=2)
    with Image.open(path) as picture:
        sheet = np.asarray(picture.convert('RGB')).astype(int)
    found = embeddings.nearest(['3.png', '0.png'], k=2)
    side, margin = neighbours._SIDE, neighbours._MARGIN
    cell = (sheet.shape[0] - margin) // 2 - margin
    for row, names in enumerate([('3.png', *found.names[0]), ('0.png', *found.names[1])]):
        for column, name in enumerate(names):
            with Image.open(folder / name) as image:
                height = round(side * image.height / image.width)
                expected = np.asarray(image.resize((side, height), Image.Resampling.BICUBIC)).astype(int)
            left = margin + column * (side + margin) + 3 * margin * (column > 0)
            top = margin + row * (cell + margin) + (side - height) // 2
            shown = sheet[top : top + height, left : left + side]
            assert np.abs(shown - expected).max() <= 1, (row, column)
            below = sheet[top + height : margin + row * (cell + margin) + cell, left : left + side]
            assert below.min() < 100, 'the name is not there'


def test_a_picture_of_all_shows_eight(own, tmp_path):
    with Image.open(own[0].picture_of_nearest(tmp_path / 'a.jpg', k=3)) as picture:
        width, height = picture.size
    with Image.open(own[0].picture_of_nearest(tmp_path / 'b.png', '1.png', k=3)) as one:
        assert one.width == width and 8 * (one.height - 2 * 8) < height


def test_a_long_name_is_cut_at_its_beginning():
    font = ImageFont.load_default(size=neighbours._FONT)
    fitted = neighbours._fitting('folder/' * 20 + 'name.jpg', font)
    assert fitted.startswith('…') and fitted.endswith('/name.jpg') and font.getlength(fitted) <= neighbours._SIDE
    assert neighbours._fitting('a.jpg', font) == 'a.jpg'
    assert ImageDraw.Draw(Image.new('RGB', (300, 50))).textlength(fitted, font) <= neighbours._SIDE


def test_pictures_need_the_images_and_a_format(own, tmp_path):
    embeddings, _, _ = own
    with pytest.raises(UserError, match=r"^path: '.*a.txt' must end in the suffix of an image format"):
        embeddings.picture_of_nearest(tmp_path / 'a.txt')
    with pytest.raises(UserError, match='^vectors cannot be drawn'):
        embeddings.picture_of_nearest(tmp_path / 'a.png', embeddings.values[:1])
    with pytest.raises(UserError, match='^it is not known where these images are'):
        table(embeddings.values).picture_of_nearest(tmp_path / 'a.png')
    folder = tmp_path / 'photos'
    for number in range(3):
        save_photo(folder / f'{number}.png', number)
    moved = Embeddings(('0.png', '1.png', '2.png'), embeddings.values[:3], dict(embeddings.made_by, folder=str(folder)))
    (folder / '1.png').unlink()
    with pytest.raises(
        UserError, match=r"1.png' can no longer be read .*: pictures show the images that were embedded"
    ):
        moved.picture_of_nearest(tmp_path / 'a.png', k=2)
