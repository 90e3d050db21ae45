"""The forms of ``probe_data``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mae_transfer.errors import UserError
from mae_transfer.learning.probe import probe_sets

IMAGES = dict(img_size=48, bands='L')


def test_a_folder_stands_for_its_two_splits():
    for data in ('photos', Path('photos'), dict(data_root='photos')):
        train, val = probe_sets(data, IMAGES, 'mae_transfer')
        assert (train['split'], val['split']) == ('train', 'val')
        assert train['data_root'] == val['data_root'] == 'photos'
        assert train['transform'] == val['transform'] == dict(type='CentreCrop')
        assert train['skip_unreadable'] and not val['skip_unreadable']
        assert train['img_size'] == val['img_size'] == 48 and train['bands'] == 'L'


def test_settings_are_those_of_the_data_set_and_may_differ_between_both():
    train, val = probe_sets(
        [dict(data_root='a', ann_file='train.txt', per_class=5), dict(data_root='a', ann_file='val.txt')],
        IMAGES,
        'mae_transfer',
    )
    assert (train['ann_file'], val['ann_file']) == ('train.txt', 'val.txt')
    assert train['per_class'] == 5 and 'per_class' not in val
    assert probe_sets(dict(data_root='a', img_size=32), IMAGES, 'mae_transfer')[0]['img_size'] == 32


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (3, 'probe_data is a folder with train/<class>.*; found 3'),
        ('', 'probe_data is a folder'),
        (['a', 'b', 'c'], 'probe_data is a folder'),
        (dict(per_class=3), 'probe_data has no data_root'),
        (dict(data_root='a', per_clas=3), "LabelledPhotos has no setting 'per_clas'"),
    ],
)
def test_other_forms_are_refused_in_one_line(data, message):
    with pytest.raises(UserError, match=message) as caught:
        probe_sets(data, IMAGES, 'mae_transfer')
    assert '\n' not in str(caught.value)
