import numpy as np
import pytest
import torch

from mae_transfer.data.files.photo_files import PhotoFiles
from mae_transfer.errors import UserError
from mae_transfer.exploring import nearest
from mae_transfer.exploring.nearest import PhotoVectors
from mae_transfer.exploring.photos import PagePhotos
from mae_transfer.exploring.subject import Subject
from mae_transfer.inference.embedding import embed
from tests.exploring.subjects import PATCH, mae
from tests.helpers import photo_folder, save_photo


@pytest.fixture
def subject(tmp_path):
    return Subject(mae(photo_folder(tmp_path / 'photos', 6)))


def photos_of(folder):
    files = PhotoFiles(folder, sorted(file.name for file in folder.iterdir()))
    return PagePhotos([files], (32, 32), 'RGB', False, PATCH)


def test_they_are_those_that_embed_finds(subject, tmp_path):
    torch.manual_seed(0)
    run = mae(tmp_path / 'photos')
    table = embed(run, tmp_path / 'photos')
    vectors = PhotoVectors(subject.encoder, photos_of(tmp_path / 'photos'))
    np.testing.assert_allclose(vectors.table.values, table.values, rtol=1e-5, atol=1e-6)
    photos = photos_of(tmp_path / 'photos')
    wanted = table.nearest('photo2.png', k=4)
    found = vectors.nearest(photos[2], 4)
    assert [photos.name(index) for index, _ in found] == list(wanted.names[0])
    np.testing.assert_allclose([cosine for _, cosine in found], wanted.similarities[0], rtol=1e-5)


def test_a_dropped_photo_finds_its_own_file_first(subject, tmp_path):
    photos = photos_of(tmp_path / 'photos')
    vectors = PhotoVectors(subject.encoder, photos)
    (index, cosine), *others = vectors.nearest(photos.dropped(tmp_path / 'photos' / 'photo4.png'), 20)
    assert index == 4 and cosine == pytest.approx(1, abs=1e-5) and len(others) == 5


def test_unreadable_photos_are_left_out_and_named(subject, tmp_path):
    (tmp_path / 'photos' / 'photo3.png').write_text('no image')
    photos, told = photos_of(tmp_path / 'photos'), []
    vectors = PhotoVectors(subject.encoder, photos, lambda done, total: told.append((done, total)))
    assert vectors.indices.tolist() == [0, 1, 2, 4, 5] and 'photo3.png' in vectors.table.skipped[0]
    assert told == [(6, 6)] and len(vectors.nearest(photos[0], 20)) == 4


def test_of_many_photos_some_are_looked_among(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(nearest, 'MOST_PHOTOS', 3)
    photos = photos_of(tmp_path / 'photos')
    vectors = PhotoVectors(subject.encoder, photos)
    assert len(vectors) == 3
    other = next(index for index in range(6) if index not in vectors.indices)
    assert len(vectors.nearest(photos[other], 5)) == 3


def test_one_photo_has_no_other(subject, tmp_path):
    save_photo(tmp_path / 'one' / 'x.png')
    photos = photos_of(tmp_path / 'one')
    assert PhotoVectors(subject.encoder, photos).nearest(photos[0], 5) == []


def test_no_photos_to_look_among_is_one_line(subject):
    with pytest.raises(UserError, match='no photos to look among: start the page with --photos FOLDER'):
        PhotoVectors(subject.encoder, PagePhotos([], (32, 32), 'RGB', False, PATCH))
