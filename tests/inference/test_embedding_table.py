"""Embeddings come back from their files as they were."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mae_transfer.errors import UserError
from mae_transfer.inference.embedding_table import EmbeddingTable

NAMES = ('a.jpg', 'b, "c".jpg', 'folder/é d.jpg', os.fsdecode(b'caf\xe9.jpg'))


def some(count: int = 4, width: int = 3, **settings) -> EmbeddingTable:
    values = np.random.default_rng(0).standard_normal((count, width)).astype(np.float32)
    names = tuple(NAMES[number] if number < len(NAMES) else f'{number}.jpg' for number in range(count))
    return EmbeddingTable(names, values, **settings)


def test_an_npz_gives_all_of_it_back(tmp_path):
    embeddings = some(made_by=dict(pool='patches', mean=[1.5, 2]), skipped=('x.jpg (is empty)',))
    found = EmbeddingTable.read(embeddings.save(tmp_path / 'new' / 'a.npz'))
    assert (found.names, found.made_by, found.skipped) == (embeddings.names, embeddings.made_by, embeddings.skipped)
    assert found.values.dtype == np.float32 and np.array_equal(found.values, embeddings.values)


@given(arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_a_csv_gives_every_bit_back(tmp_path_factory, values):
    path = EmbeddingTable(NAMES[:2], values).save(tmp_path_factory.mktemp('csv') / 'a.csv')
    with path.open(newline='', encoding='utf-8') as file:
        head, *lines = csv.reader(file)
    assert head == ['name', 'd0', 'd1', 'd2'] and [line[0] for line in lines] == list(NAMES[:2])
    assert np.array_equal(np.array([line[1:] for line in lines], np.float32), values)


def test_names_that_are_no_text_are_kept_in_a_csv(tmp_path):
    assert b'\ncaf\xe9.jpg,' in some().save(tmp_path / 'a.csv').read_bytes()


def test_a_vector_by_its_name():
    embeddings = some()
    assert np.array_equal(embeddings['folder/é d.jpg'], embeddings.values[2]) and len(embeddings) == 4
    with pytest.raises(UserError, match=r"^no embedding of 'z.jpg': names are paths below .* images, as a.jpg$"):
        embeddings['z.jpg']


@pytest.mark.parametrize('content', [None, b'', b'hello', 'npz', 'npy', 'cut'])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / 'a.npz'
    if content == 'npz':
        np.savez(path, names=np.zeros(3))
    elif content == 'npy':
        np.save(tmp_path / 'a.npy', np.zeros(3))
        path = tmp_path / 'a.npy'
    elif content == 'cut':
        some().save(path)
        path.write_bytes(path.read_bytes()[:-50])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r'holds no embeddings: give an .npz that embed wrote$|cannot be read: No such'
    ) as error:
        EmbeddingTable.read(path)
    assert '\n' not in str(error.value)
