"""mae_transfer.reconstruct: pictures by one call."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import mae_transfer
from mae_transfer.errors import UserError


@pytest.fixture(scope='module')
def trained(runs):
    return mae_transfer.load(runs('pretrain').work_dir, device='cpu')


def test_the_same_call_draws_the_same_picture_and_draws_no_random_number(trained, runs, tmp_path):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    drawn = [
        mae_transfer.reconstruct(trained, tmp_path / name, runs('pretrain').data, count=2, ratios=(0.5, 0.75))
        for name in ('a.png', 'b.png')
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert drawn[0].out.read_bytes() == drawn[1].out.read_bytes()
    assert [one.photos for one in drawn] == [2, 2] and str(drawn[0]) == f'2 photos drawn into {tmp_path}/a.png'


def test_a_run_s_own_masking_keeps_its_settings(runs, tmp_path):
    """A masking of the same class as the run's is the run's, at another ratio."""
    pictures = {}
    for least in (1, 12):
        changes = {'model.masking': dict(type='BlockMasking', ratio=0.75, least_area=least)}
        model = mae_transfer.load(runs('pretrain').work_dir, device='cpu', cfg_options=changes)
        for names in (('block',), ('random',)):
            out = mae_transfer.reconstruct(
                model, tmp_path / 'a.png', runs('pretrain').data, count=1, maskings=names, ratios=[0.75]
            ).out
            with Image.open(out) as picture:
                pictures[least, names] = np.asarray(picture)[:128]  # without the caption
    assert not np.array_equal(pictures[1, ('block',)], pictures[12, ('block',)])
    assert np.array_equal(pictures[1, ('random',)], pictures[12, ('random',)])


def test_unreadable_photos_are_named(trained, runs, tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for number, file in enumerate(sorted(runs('pretrain').data.iterdir())[:3]):
        (photos / f'{number}.jpg').write_bytes(file.read_bytes() if number != 1 else b'no photo')
    drawn = mae_transfer.reconstruct(trained, tmp_path / 'a.png', photos)
    assert drawn.photos == 2 and [name.rpartition('/')[2] for name in drawn.skipped] == ['1.jpg']
    assert str(drawn).splitlines()[1].startswith('unreadable photos were left out (1): ')


def test_another_model_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match='is no pre-training by an MAE: its model is a'):
        mae_transfer.reconstruct(runs('classify').work_dir, tmp_path / 'a.png', device='cpu')


def test_a_ratio_in_words_is_refused(trained, tmp_path):
    with pytest.raises(UserError, match='--ratios lie strictly between 0 and 1, e.g. .75,.85,.95; found half'):
        mae_transfer.reconstruct(trained, tmp_path / 'a.png', ratios=['half'])
