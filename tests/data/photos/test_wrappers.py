"""Wrapped data sets: the items of the data sets inside, with the wrapper's indices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import mmengine.dataset
import pytest
import torch
from torch.utils.data import DataLoader

from mae_transfer.data import (
    ClassBalancedDataset,
    ConcatDataset,
    LabelledPhotos,
    RepeatDataset,
    SeededSampler,
    collate_labelled,
)
from mae_transfer.data.photos.loaders import dataset_settings
from mae_transfer.errors import UserError
from mae_transfer.evaluation import Accuracy
from mae_transfer.registry import DATASETS
from tests.data.photos.wrapped import KINDS, every_wrapper, parts_of, wrapped
from tests.helpers import save_photo


def check_same(item: Mapping, inner: Mapping, index: int) -> None:
    """Assert that an item equals that of the data set inside, except for its index."""
    assert set(item) == set(inner) and torch.equal(item['inputs'], inner['inputs'])
    others = set(item) - {'inputs', 'indices'}
    assert {key: item[key] for key in others} == {key: inner[key] for key in others}
    assert item.get('indices', index) == index


# --- items ------------------------------------------------------------------------------------------------------------
@every_wrapper
def test_an_item_is_that_of_the_data_set_inside_with_the_wrapper_s_index(kind, wrapper, roots):
    dataset, places = wrapped(kind, roots, wrapper)
    assert len(dataset) == len(places)
    for index, (part, inner) in enumerate(places):
        for seed in (3, 2**62 + index):
            check_same(dataset[index, seed], part[inner, seed], index)


@every_wrapper
def test_without_a_seed_an_item_is_drawn_as_by_the_data_set_inside(kind, wrapper, roots):
    dataset, places = wrapped(kind, roots, wrapper)
    for index, (part, inner) in enumerate(places):
        torch.default_generator.manual_seed(index)
        item = dataset[index]
        torch.default_generator.manual_seed(index)
        check_same(item, part[inner], index)


@every_wrapper
def test_iteration_ends_after_the_last_item(kind, wrapper, roots):
    dataset, places = wrapped(kind, roots, wrapper)
    assert len(list(dataset)) == len(places)
    for key in (len(places), -1, (len(places), 3)):
        with pytest.raises(IndexError):
            dataset[key]


def test_a_repeated_image_is_cropped_differently(roots):
    photos, _ = parts_of('photos', roots)
    repeated = RepeatDataset(photos, times=2)
    keys = dict(iter(SeededSampler(repeated, seed=3)))
    assert sorted(keys) == list(range(2 * len(photos))) and len(set(keys.values())) == len(keys)
    one, other = (repeated[index, keys[index]] for index in (0, len(photos)))
    assert not torch.equal(one['inputs'], other['inputs'])


@pytest.mark.parametrize('threshold', [0.05, 0.3, 0.5, 1.0, 4.0])
def test_rare_classes_are_repeated_as_in_mmengine(threshold, tmp_path):
    for name, count in (('ant', 12), ('bee', 3), ('cat', 1)):
        for number in range(count):
            save_photo(tmp_path / 'train' / name / f'{number}.png', number, (8, 8))
    photos = LabelledPhotos(str(tmp_path), img_size=8)
    theirs = mmengine.dataset.ClassBalancedDataset
    factors = theirs._get_repeat_factors(SimpleNamespace(dataset=photos), photos, threshold)
    expected = [index for index, factor in enumerate(factors) for _ in range(math.ceil(factor))]
    balanced = ClassBalancedDataset(photos, threshold)
    assert [balanced.locate(index)[1] for index in range(len(balanced))] == expected
    labels = [balanced.get_cat_ids(index) for index in range(len(balanced))]
    assert labels == [photos.get_cat_ids(index) for index in expected]


def test_classes_are_balanced_over_several_folders(roots):
    both = ConcatDataset(parts_of('labelled', roots))
    labels = [0, 0, 1, 1, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [both.get_cat_ids(index) for index in range(15)] == [[label] for label in labels]
    assert len(ClassBalancedDataset(both, 4 / 3 - 1e-6)) == 30


# --- unreadable images ------------------------------------------------------------------------------------------------
def spoilt(tmp_path: Path, *names: str) -> list[str]:
    """Two folders of three images of one class; those that are named cannot be read."""
    for folder in 'ab':
        for number in range(3):
            for split in ('train', 'val'):
                save_photo(tmp_path / folder / split / 'ant' / f'{number}.png', number, (12, 12))
    for name in names:
        (tmp_path / name).write_text('no image')
    return [str(tmp_path / 'a'), str(tmp_path / 'b')]


@pytest.mark.parametrize('kind', ['photos', 'labelled'])
def test_an_unreadable_image_is_replaced_by_one_of_its_own_folder(kind, tmp_path):
    roots = spoilt(tmp_path, 'a/train/ant/2.png', 'b/train/ant/0.png')
    dataset = ConcatDataset(parts_of(kind, roots))
    for index, read, skipped in ((2, 0, 'ant/2.png'), (3, 4, 'ant/0.png')):
        item = dataset[index, 7]
        assert item['skipped'] == [skipped] and item.get('indices', read) == read
        assert torch.equal(item['inputs'], dataset[read, 7]['inputs'])


def test_an_unreadable_image_is_replaced_by_one_of_the_same_repetition(tmp_path):
    repeated = RepeatDataset(parts_of('labelled', spoilt(tmp_path, 'a/train/ant/2.png'))[0], times=2)
    assert [repeated[index, 7]['indices'] for index in range(6)] == [0, 1, 0, 3, 4, 3]


@pytest.mark.parametrize('unreadable', ['0', '2'])
def test_the_index_of_a_balanced_item_belongs_to_the_image_that_was_read(unreadable, tmp_path):
    photos = parts_of('labelled', spoilt(tmp_path, f'a/train/ant/{unreadable}.png'))[0]
    balanced = ClassBalancedDataset(photos, 4.0)
    assert len(balanced) == 6  # each image twice
    for index in range(6):
        item = balanced[index, 7]
        assert balanced.locate(item['indices'])[1] == photos[balanced.locate(index)[1], 7]['indices']
        assert item['skipped'] == ([f'ant/{unreadable}.png'] if index // 2 == int(unreadable) else [])


def test_in_evaluation_an_unreadable_image_is_an_error(tmp_path):
    dataset = ConcatDataset(parts_of('labelled for validation', spoilt(tmp_path, 'b/val/ant/1.png')))
    assert dataset[3]['skipped'] == []
    with pytest.raises(UserError, match='b/val/ant/1.png cannot be read as an image: an evaluation leaves no image'):
        dataset[4]


def test_a_folder_without_readable_images_is_named(tmp_path):
    dataset = ConcatDataset(parts_of('photos', spoilt(tmp_path, *(f'b/train/ant/{number}.png' for number in range(3)))))
    with pytest.raises(
        UserError, match=f'none of the 3 images in {tmp_path}/b/train can be read: ant/1.png is the fir'
    ):
        dataset[4]


# --- invalid settings -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'classes, words',
    [
        (
            ('ant', 'bee', 'dog'),
            r'data set 2 of 2 has other classes than the first \(2 are only in one of them, e.g. cat\)',
        ),
        (
            ('ant', 'bee'),
            r'other classes than the first \(1 are only in one of them, e.g. cat\): give all data sets the',
        ),
        (None, r'other classes than the first \(3 are only in one of them, e.g. ant\)'),
    ],
)
def test_other_classes_are_refused_in_one_line(classes, words, roots, tmp_path):
    for name in classes or ():
        save_photo(tmp_path / 'train' / name / 'x.png', size=(8, 8))
    other = dict(type='LabelledPhotos', data_root=str(tmp_path), img_size=8)
    if classes is None:
        other = dict(KINDS['photos'][0], data_root=roots[1])
    settings = dict(type='ConcatDataset', datasets=[dict(KINDS['labelled'][0], data_root=roots[0]), other])
    with pytest.raises(UserError, match=words) as caught:
        DATASETS.build(settings)
    assert '\n' not in str(caught.value)


def test_classes_in_another_order_are_refused(roots):
    one, other = (
        LabelledPhotos(root, img_size=8, classes=names)
        for root, names in zip(roots, (('ant', 'bee', 'cat'), ('cat', 'bee', 'ant')))
    )
    with pytest.raises(
        UserError, match=r'has other classes than the first \(the same in another order\): give all data sets'
    ):
        ConcatDataset([one, other])


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(type='ConcatDataset', datasets=[]), r'needs at least one data set: give datasets=\[...\], or data_root='),
        (dict(type='RepeatDataset', times=0), 'times is a whole number, 1 or more; found 0'),
        (dict(type='RepeatDataset', times=1.5), 'found 1.5'),
        (dict(type='ClassBalancedDataset', oversample_thr=0), 'a share of the images above 0; found 0'),
        (dict(type='ClassBalancedDataset', oversample_thr=float('nan')), 'found nan'),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, words, roots):
    if 'datasets' not in settings:
        settings = dict(settings, dataset=dict(KINDS['labelled'][0], data_root=roots[0]))
    with pytest.raises(UserError, match=words) as caught:
        DATASETS.build(settings)
    assert '\n' not in str(caught.value)


def test_no_folder_at_all_is_refused():
    with pytest.raises(UserError, match='needs at least one data set'):
        DATASETS.build(dataset_settings(dict(KINDS['photos'][0], data_root=[])))


# --- metainfo ---------------------------------------------------------------------------------------------------------
@every_wrapper
def test_the_metainfo_is_that_of_the_data_set_inside(kind, wrapper, roots):
    dataset, places = wrapped(kind, roots, wrapper)
    assert dataset.metainfo == places[0][0].metainfo
    dataset.full_init()  # MMEngine's loops and wrappers call it


def test_a_class_is_present_if_it_is_in_any_data_set(tmp_path):
    for folder, names in (('a', ('ant', 'cat')), ('b', ('bee', 'cat')), ('c', ('dog',))):
        for name in names:
            save_photo(tmp_path / folder / 'val' / name / 'x.png', size=(8, 8))
    classes = ('ant', 'bee', 'cat', 'dog', 'emu')
    parts = [LabelledPhotos(str(tmp_path / folder), 'val', classes=classes, img_size=8) for folder in 'abc']
    assert [part.metainfo['present'] for part in parts] == [(0, 2), (1, 2), (3,)]
    both = ConcatDataset(parts[:2])
    assert both.metainfo == dict(classes=classes, present=(0, 1, 2))
    assert ConcatDataset([both, parts[2]]).metainfo['present'] == (0, 1, 2, 3)
    assert parts[0].metainfo['present'] == (0, 2)  # unchanged


def test_an_accuracy_counts_the_images_of_all_folders(roots):
    """It identifies images by their indices."""
    dataset = ConcatDataset(parts_of('labelled for validation', roots))
    metric = Accuracy(topk=(1,))
    metric.dataset_meta = dataset.metainfo
    for batch in DataLoader(dataset, 4, collate_fn=collate_labelled):
        metric.process(batch, [dict(scores=scores) for scores in torch.eye(3)[batch['labels']]])
    assert metric.evaluate(len(dataset))['accuracy/top1'] == 100
    assert metric.confusion.tolist() == [[5, 0, 0], [0, 5, 0], [0, 0, 5]]
