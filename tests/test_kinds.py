"""The class of a part of a config: by any scope, of any project, subclasses included."""

from __future__ import annotations

import pytest
from mmengine import registry as root
from mmengine.hooks import EMAHook

from mae_transfer.data import LabelledPhotos
from mae_transfer.kinds import class_of, data_loaders, data_sets, is_kind, takes
from mae_transfer.registry import DATASETS


class OwnPhotos(LabelledPhotos):
    """A subclass that a user registers."""


@pytest.fixture
def registered():
    DATASETS.register_module(module=OwnPhotos)
    yield
    DATASETS.module_dict.pop('OwnPhotos')


@pytest.mark.parametrize(
    'kind, scope',
    [
        ('EMAHook', 'mae_transfer'),
        ('mmengine.EMAHook', 'mmdet'),
        ('EMAHook', 'mmdet'),
        (EMAHook, None),
        ('EMAHook', None),
    ],
)
def test_a_class_is_found_by_any_name_of_it(kind, scope):
    assert class_of(dict(type=kind), root.HOOKS, scope) is EMAHook


def test_what_names_no_class_is_none():
    assert class_of(dict(type='NoSuchHook'), root.HOOKS, 'mae_transfer') is None
    assert class_of(dict(), root.HOOKS, 'mae_transfer') is None
    assert not is_kind(None, root.HOOKS, None, EMAHook) and not is_kind(
        dict(type='NoSuchHook'), root.HOOKS, None, EMAHook
    )


@pytest.mark.parametrize('name, scope', [('OwnPhotos', 'mae_transfer'), ('mae_transfer.OwnPhotos', 'mmdet')])
def test_a_subclass_is_of_the_kind(name, scope, registered):
    assert is_kind(dict(type=name), root.DATASETS, scope, LabelledPhotos)
    assert not is_kind(dict(type='Photos'), root.DATASETS, 'mae_transfer', LabelledPhotos)


def test_takes():
    assert takes(OwnPhotos, 'img_size') and not takes(OwnPhotos, 'imgsize') and not takes(None, 'img_size')


def test_data_sets_are_found_within_wrappers():
    a, b = dict(type='Photos', data_root='a'), dict(type='Photos', data_root='b')
    assert list(data_sets(a)) == [a]
    assert list(data_sets(dict(type='RepeatDataset', times=2, dataset=a))) == [a]
    wrapped = dict(type='ConcatDataset', datasets=[a, dict(type='RepeatDataset', times=2, dataset=b)])
    assert list(data_sets(wrapped)) == [a, b] and list(data_sets(None)) == []


def test_data_loaders_include_those_of_features():
    cfg = dict(
        train_dataloader=None, test_dataloader=dict(batch_size=1), test_cfg=dict(train_dataloader=dict(batch_size=2))
    )
    assert data_loaders(cfg) == {'test_dataloader': dict(batch_size=1), 'test_cfg.train_dataloader': dict(batch_size=2)}
    assert data_loaders({}) == {}
