"""Shards give what the folder gives that they were made from: items, epochs, held-out photos, labels."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from mae_transfer.data import LabelledPhotos, Photos, SeededSampler, collate_photos
from mae_transfer.data.photos.image_dataset import ImageDataset
from mae_transfer.data.photos.labelled_shards import CLASSES_FILE, find_shards
from mae_transfer.data.photos.sharding import parts_of, write_parts
from mae_transfer.errors import UserError
from tests.data.shards import samples, write_tar
from tests.helpers import save_photo

CLASSES = ('a-b', 'a', 'ant', 'bee')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Class folders of 26 JPEGs and PNGs to train on and 9 to validate on."""
    root = tmp_path_factory.mktemp('folder')
    for split, counts in (('train', (7, 5, 8, 6)), ('val', (2, 3, 2, 2))):
        for label, (kind, count) in enumerate(zip(CLASSES, counts)):
            for i in range(count):
                suffix = ('jpg', 'JPEG', 'png')[i % 3]
                save_photo(root / split / kind / f'{i}.{suffix}', 100 * label + i + len(split), (30 + i, 24))
    return root


@pytest.fixture(scope='module')
def shards(folder, tmp_path_factory):
    """The same in shards of some photos each."""
    out = tmp_path_factory.mktemp('shards')
    write_parts(parts_of(folder, labelled=True), out, shard_size=20_480)
    assert len(list(out.glob('train-*.tar'))) > 3
    return out


@pytest.fixture(scope='module')
def unlabelled(folder, tmp_path_factory):
    """Shards of the training photos alone, without labels."""
    out = tmp_path_factory.mktemp('unlabelled')
    write_parts(parts_of(folder / 'train', labelled=False), out, shard_size=20_480)
    return out


def same(one, other):
    return {key: value.tolist() if isinstance(value, torch.Tensor) else value for key, value in one.items()} == {
        key: value.tolist() if isinstance(value, torch.Tensor) else value for key, value in other.items()
    }


@pytest.mark.parametrize('split', ['train', 'val'])
def test_photos_are_the_same_crop_for_crop(folder, unlabelled, shards, split):
    for source, packed in ((folder / 'train', unlabelled), (folder, shards)):
        files, photos = (Photos(str(root), split, 16, hold_out=0.2) for root in (source, packed))
        assert sorted(photos.files.own_names()) == sorted(files.files.own_names()) and len(files) >= 5
        number_of = {name: index for index, name in enumerate(photos.files.own_names())}
        assert all(
            same(files[i, 7 + i], photos[number_of[name], 7 + i]) for i, name in enumerate(files.files.own_names())
        )


def test_without_labels_the_order_is_the_folder_s_so_that_a_run_is_the_same(folder, unlabelled):
    files, photos = (Photos(str(root), 'train', 16, hold_out=0.2) for root in (folder / 'train', unlabelled))
    assert photos.files.own_names() == files.files.own_names()


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('per_class', [None, 2])
def test_labelled_photos_are_the_same_in_the_same_order(folder, shards, split, per_class):
    files, photos = (LabelledPhotos(str(root), split, img_size=16, per_class=per_class) for root in (folder, shards))
    assert photos.files.own_names() == files.files.own_names() and photos.metainfo == files.metainfo
    assert photos.metainfo['classes'] == tuple(sorted(CLASSES))
    assert all(same(files[i, 7 + i], photos[i, 7 + i]) for i in range(len(files)))
    settings = dict(data_root=str(shards), split=split)
    assert LabelledPhotos.label_space(**settings).classes == photos.metainfo['classes']
    assert LabelledPhotos.label_space(**settings).used == photos.metainfo['classes']


# --- epochs -----------------------------------------------------------------------------------------------------------
def loader(photos: ImageDataset, rank: int, world: int, workers: int, skip: int = 0, epoch: int = 0) -> DataLoader:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, world))
        sampler = SeededSampler(photos, shuffle=True, seed=3)
    sampler.set_epoch(epoch)
    sampler.skip(skip)
    return DataLoader(photos, 2, sampler=sampler, num_workers=workers, collate_fn=collate_photos)


def crops(batches) -> list[tuple[int, bytes]]:
    return [
        (seed, crop.numpy().tobytes())
        for batch in batches
        for seed, crop in zip(batch['seeds'].tolist(), batch['inputs'])
    ]


@pytest.mark.parametrize('world', [1, 2, 3])
@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_shows_every_photo_once_the_same_for_any_number_of_processes_and_workers(unlabelled, world, workers):
    photos = Photos(str(unlabelled), 'train', 16, hold_out=0.05)  # 25
    whole = crops(loader(photos, 0, 1, 0))
    assert len(whole) == len(set(whole)) == len(photos) == 25
    parts = [crops(loader(photos, rank, world, workers)) for rank in range(world)]
    together = [sample for step in zip(*parts, strict=True) for sample in step]
    assert together[:25] == whole and Counter(together[25:]) <= Counter(whole)  # the last step is filled up
    assert crops(loader(photos, 0, 1, workers, epoch=1)) != whole


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('done', [1, 4, 7])
def test_a_run_goes_on_in_the_middle_of_an_epoch(unlabelled, workers, done):
    for rank in range(2):
        whole = crops(loader(Photos(str(unlabelled), 'train', 16), rank, 2, 0, epoch=2))
        rest = crops(loader(Photos(str(unlabelled), 'train', 16), rank, 2, workers, skip=done, epoch=2))
        assert rest == whole[done:]


# --- labels -----------------------------------------------------------------------------------------------------------
def labelled(folder, *labels, name='train.tar', **settings):
    """A tar of a photo for each label, as a data set."""
    members = {}
    for number, label in enumerate(labels):
        one = samples(f'{number}')
        members |= one if label is None else one | {f'{number}.cls': str(label).encode()}
    write_tar(folder / name, members)
    return LabelledPhotos(str(folder), name.partition('.')[0], img_size=8, **settings)


def test_numbers_without_names(tmp_path):
    photos = labelled(tmp_path, 2, 0, 2)
    assert photos.labels.tolist() == [2, 0, 2] and photos.metainfo == dict(classes=('0', '1', '2'), present=(0, 2))
    assert LabelledPhotos.label_space(str(tmp_path), 'train').numbered


def test_names_of_classes(tmp_path):
    photos = labelled(tmp_path, 'dog', 'cat', 'dog')
    assert photos.labels.tolist() == [1, 0, 1] and photos.metainfo['classes'] == ('cat', 'dog')
    assert labelled(tmp_path, 'dog', 'cat', classes=['x', 'dog', 'cat']).labels.tolist() == [1, 2]


def test_the_file_of_names_and_given_classes(tmp_path):
    (tmp_path / CLASSES_FILE).write_text('ant\nbee\ncat\n')
    assert labelled(tmp_path, 2, 0).metainfo == dict(classes=('ant', 'bee', 'cat'), present=(0, 2))
    assert labelled(tmp_path, 2, 0, classes=4).metainfo['classes'] == ('0', '1', '2', '3')


@pytest.mark.parametrize(
    'labels, settings, says',
    [
        (
            (0, None, 1),
            {},
            "1 of 3 images in shards have no label, e.g. 'train.tar/1.jpg': expected KEY.cls, or 'label'",
        ),
        ((0, -1), {}, "'train.tar/1.jpg' has the label '-1': labels from 0 to 999999"),
        ((0, 5_000_000), {}, "has the label '5000000': labels from 0 to 999999"),
        ((0, 3), dict(classes=3), "'train.tar/1.jpg' has the label '3': 3 classes have labels from 0 to 2"),
        ((0, 'dog'), dict(classes=3), "has the label 'dog': it is none of the 3 classes"),
        (('cat', 'dog'), dict(classes=['cat', 'cow']), "has the label 'dog': it is none of the 2 classes"),
    ],
)
def test_labels_that_mean_nothing_are_refused_in_one_line(tmp_path, labels, settings, says):
    with pytest.raises(UserError, match=says) as caught:
        labelled(tmp_path, *labels, **settings)
    assert '\n' not in str(caught.value)


def test_which_shards_a_split_is(tmp_path):
    one = samples('a', cls=b'0')
    for name in ('named/train-0.tar', 'named/val-0.tar', 'apart/train/x.tar', 'apart/valid/y.tar', 'plain/x.tar'):
        write_tar(tmp_path / name, one)
    (tmp_path / 'apart' / CLASSES_FILE).write_text('a\n')
    assert find_shards(tmp_path / 'named', 'val')[:2] == (tmp_path / 'named', ['val-0.tar'])
    assert find_shards(tmp_path / 'apart', 'val') == (
        *(tmp_path / 'apart' / 'valid', ['y.tar']),
        tmp_path / 'apart' / CLASSES_FILE,
    )
    assert find_shards(tmp_path / 'plain', None)[:2] == (tmp_path / 'plain', ['x.tar'])
    assert find_shards(tmp_path / 'named' / 'val-0.tar', 'val')[1] == ['val-0.tar']
    with pytest.raises(UserError, match="named contains shards of train and val, .*: choose one by split='train' or"):
        find_shards(tmp_path / 'named', None)
    for root in (tmp_path / 'plain', tmp_path / 'plain' / 'x.tar'):
        with pytest.raises(UserError, match="contains shards, but none of 'train', by their names: name them like tr"):
            find_shards(root, 'train')


def test_other_layouts_are_no_shards(folder, tmp_path):
    save_photo(tmp_path / 'a.jpg')
    for root in (folder, tmp_path, tmp_path / 'a.jpg', tmp_path / 'nowhere'):
        assert find_shards(root, 'train') is None and find_shards(root, None) is None
