"""Small pictures of what was embedded: files, members of tars, images of any bands."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.inference.embedding_table import EmbeddingTable
from mae_transfer.inference.photos import find_images
from mae_transfer.inference.thumbnails import Thumbnails
from tests.helpers import save_photo
from tests.tools.commands import call


def table(folder, bands='RGB', **made_by) -> EmbeddingTable:
    files = find_images(folder, bands)
    values = np.zeros((len(files), 2), np.float32)
    return EmbeddingTable(tuple(files.names), values, dict(folder=str(files.root), bands=bands, **made_by))


def test_the_whole_image_in_its_proportions(tmp_path):
    save_photo(tmp_path / 'wide.png', size=(80, 20))
    save_photo(tmp_path / 'high.png', size=(3, 200), mode='L')
    save_photo(tmp_path / 'tiny.png', size=(2, 1))
    thumbnail = Thumbnails(table(tmp_path), 40)
    assert [thumbnail(name).size for name in ('wide.png', 'high.png', 'tiny.png')] == [(40, 10), (1, 40), (40, 20)]
    with Image.open(tmp_path / 'wide.png') as image:
        expected = np.asarray(image.resize((40, 10), Image.Resampling.BICUBIC))
    assert np.array_equal(np.asarray(thumbnail('wide.png')), expected) and thumbnail('high.png').mode == 'RGB'


def test_members_of_tars(tmp_path):
    for number in range(3):
        save_photo(tmp_path / 'photos' / f'{number}.png', number)
    assert call('make_shards', tmp_path / 'photos', tmp_path / 'tars', '--workers', '0').code == 0
    of_files, of_tars = (table(tmp_path / name) for name in ('photos', 'tars'))
    in_tars = {name.rpartition('/')[2]: name for name in of_tars.names}
    for name in of_files.names:
        pictures = [Thumbnails(of_files, 30)(name), Thumbnails(of_tars, 30)(in_tars[name])]
        assert np.array_equal(*map(np.asarray, pictures))


@pytest.mark.parametrize('bands', [(5, 1, 3, 2), (4,)])
def test_numbered_bands_are_stretched(bands, tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (20, 30, 5), dtype=np.uint16)
    tifffile.imwrite(tmp_path / 'a.tif', values, photometric='minisblack')
    made = table(tmp_path, bands)
    made.save(tmp_path.parent / f'{tmp_path.name}.npz')  # where tuples become lists
    for one in (made, EmbeddingTable.read(tmp_path.parent / f'{tmp_path.name}.npz')):
        picture = np.asarray(Thumbnails(one, 30)('a.tif'))
        assert picture.shape == (20, 30, 3) and picture.min() == 0 and picture.max() == 255


def test_an_image_that_is_gone(tmp_path):
    save_photo(tmp_path / 'a.png')
    thumbnail = Thumbnails(table(tmp_path), 30)
    (tmp_path / 'a.png').unlink()
    with pytest.raises(
        UserError, match=r"a.png' can no longer be read .*: pictures show the images that were embedded"
    ):
        thumbnail('a.png')
    with pytest.raises(UserError, match='^it is not known where these images are'):
        Thumbnails(EmbeddingTable(('a.png',), np.zeros((1, 2))), 30)
