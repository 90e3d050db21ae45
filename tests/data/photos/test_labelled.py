"""Labelled photos as items and batches: labels belong to their images, and items follow from their seeds."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch.utils.data import DataLoader

from mae_transfer.data import LabelledPhotos, SeededSampler, collate_labelled
from mae_transfer.errors import UserError
from mae_transfer.registry import DATASETS, FUNCTIONS
from tests.data.sources import cifar_folder
from tests.helpers import save_photo


def folder(root: Path, *, count: int = 2, size=(20, 16)) -> Path:
    """Write train/ and val/ with the classes ant, bee and cat, ``count`` photos of each."""
    for split in ('train', 'val'):
        for label, name in enumerate(('ant', 'bee', 'cat')):
            for number in range(count):
                save_photo(root / split / name / f'{number}.png', 100 * label + number, size)
    return root


# --- items ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('split', ['train', 'val'])
def test_an_item_is_a_uint8_crop_with_its_label_and_index(tmp_path, split):
    photos = DATASETS.build(
        dict(type='LabelledPhotos', data_root=str(folder(tmp_path)), split=split, img_size=(16, 24))
    )
    item = photos[3]
    assert item['inputs'].shape == (3, 16, 24) and item['inputs'].dtype == torch.uint8
    assert (item['labels'], item['indices'], item['skipped']) == (1, 3, [])
    assert len(photos) == 6 and photos.labels.tolist() == [0, 0, 1, 1, 2, 2] and photos.name(3) == 'bee/1.png'


def test_the_metainfo_has_the_classes_and_the_labels_that_occur(tmp_path):
    save_photo(folder(tmp_path) / 'part' / 'bee' / 'x.png')
    whole = LabelledPhotos(str(tmp_path), 'val', img_size=8)
    assert whole.metainfo == dict(classes=('ant', 'bee', 'cat'), present=(0, 1, 2))
    part = LabelledPhotos(str(tmp_path / 'part'), None, img_size=8, classes=['cat', 'bee', 'ant'])
    assert part.metainfo == dict(classes=('cat', 'bee', 'ant'), present=(1,)) and part[0]['labels'] == 1


def test_iteration_ends_after_the_last_image(tmp_path):
    assert [item['indices'] for item in LabelledPhotos(str(folder(tmp_path)), 'val', img_size=8)] == list(range(6))


@pytest.mark.parametrize(
    'img_size, transform, split, shape, kind',
    [
        (None, None, 'train', (224, 224), 'FineTuneCrop'),
        (None, None, 'val', (224, 224), 'CentreCrop'),
        (24, dict(type='ProbeCrop'), 'train', (24, 24), 'ProbeCrop'),
        (24, dict(type='CentreCrop', crop_pct=1.0), 'train', (24, 24), 'CentreCrop'),
        (24, dict(type='ProbeCrop', img_size=12), 'train', (12, 12), 'ProbeCrop'),
        (None, dict(type='mae_transfer.ProbeCrop'), None, (224, 224), 'ProbeCrop'),
    ],
)
def test_a_transform_is_built_with_the_image_size(tmp_path, img_size, transform, split, shape, kind):
    root = folder(tmp_path) / ('train' if split is None else '')
    config = Config(
        dict(data=dict(type='LabelledPhotos', data_root=str(root), split=split, img_size=img_size, transform=transform))
    )
    photos = DATASETS.build(config.data)
    assert photos[0]['inputs'].shape[1:] == shape and type(photos.transform).__name__ == kind
    assert transform is None or set(config.data.transform) == set(transform)  # the config is unchanged


def test_a_callable_is_used_as_the_transform(tmp_path):
    photos = LabelledPhotos(str(folder(tmp_path)), transform=lambda image: torch.tensor(image.size))
    assert photos[0]['inputs'].tolist() == [20, 16]


COLOUR, GREY = (200, 30, 90), (88, 88, 88)  # the grey is the colour's luma


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize(
    'mode, suffix, seen',
    [
        ('L', '.jpg', GREY),
        ('P', '.png', COLOUR),
        ('RGBA', '.png', COLOUR),
        ('CMYK', '.jpg', COLOUR),
        ('LA', '.png', GREY),
    ],
)
def test_every_colour_mode_becomes_rgb(tmp_path, split, mode, suffix, seen):
    image = Image.new('RGB', (20, 20), COLOUR)
    (tmp_path / split / 'a').mkdir(parents=True)
    (image.quantize() if mode == 'P' else image.convert(mode)).save(tmp_path / split / 'a' / f'x{suffix}')
    transform = dict(type='FineTuneCrop', auto_augment=None) if split == 'train' else None
    item = LabelledPhotos(str(tmp_path), split, img_size=8, transform=transform)[0]['inputs']
    assert item.shape == (3, 8, 8) and (item.int() - torch.tensor(seen)[:, None, None]).abs().max() <= 3  # JPEG rounds
    assert LabelledPhotos(str(tmp_path), split, img_size=8)[0]['inputs'].shape == (3, 8, 8)


def test_mode_l_has_one_channel(tmp_path):
    assert LabelledPhotos(str(folder(tmp_path)), 'val', img_size=8, bands='L')[0]['inputs'].shape == (1, 8, 8)


@pytest.mark.usefixtures('any_checksum')
def test_cifar_s_images_are_items_like_others(tmp_path):
    photos = LabelledPhotos(
        str(cifar_folder(tmp_path, False)), 'val', img_size=32, transform=dict(type='CentreCrop', crop_pct=1.0)
    )
    item = photos[2]
    assert item['inputs'].shape == (3, 32, 32) and item['labels'] == photos.labels[2] == item['inputs'][1, 5, 5].item()
    assert item['inputs'][0, 5, 5] == item['labels'] + 100 and photos.name(2) == 'test/2'
    grey = LabelledPhotos(str(tmp_path), 'val', img_size=32, bands='L')[2]['inputs']
    assert grey.shape == (1, 32, 32) and item['labels'] < grey[0, 5, 5] < item['labels'] + 100


def test_paths_that_are_not_ascii_are_read(tmp_path):
    save_photo(tmp_path / 'train' / 'Übung 1' / 'é ü.png')
    assert LabelledPhotos(str(tmp_path), img_size=8)[0]['skipped'] == []


# --- unreadable images ------------------------------------------------------------------------------------------------
def damage(path: Path, how: str) -> None:
    if how == 'truncated':
        path.write_bytes(path.read_bytes()[:200])
    elif how == 'text':
        path.write_text('<html>404</html>')
    else:
        path.unlink()
        path.symlink_to('nowhere.png')


HOW = ['truncated', 'text', 'missing']


@pytest.mark.parametrize('how', HOW)
def test_in_training_an_unreadable_image_is_replaced_by_the_next_with_its_label(tmp_path, how):
    folder(tmp_path)
    photos = LabelledPhotos(str(tmp_path), img_size=8)
    expected = photos[2, 7]
    damage(tmp_path / 'train' / 'ant' / '1.png', how)
    item = photos[1, 7]
    assert (item['labels'], item['indices'], item['skipped'][0].partition(' (')[0]) == (1, 2, 'ant/1.png')
    assert torch.equal(item['inputs'], expected['inputs'])


def test_after_the_last_image_skipping_continues_with_the_first(tmp_path):
    folder(tmp_path)
    for name in '01':
        damage(tmp_path / 'train' / 'cat' / f'{name}.png', 'text')
    item = LabelledPhotos(str(tmp_path), img_size=8)[4]
    assert (item['labels'], item['indices'], len(item['skipped'])) == (0, 0, 2)


@pytest.mark.parametrize(
    'how, words',
    zip(HOW, ['cannot be read as an image', 'is an HTML page, saved in place of an image', 'does not exist']),
)
def test_in_evaluation_an_unreadable_image_is_an_error(tmp_path, how, words):
    damage(folder(tmp_path) / 'val' / 'ant' / '1.png', how)
    photos = LabelledPhotos(str(tmp_path), 'val', img_size=8)
    assert photos[0]['labels'] == photos[0, 3]['labels'] == 0
    with pytest.raises(UserError, match=rf'val/ant/1.png {words}: an evaluation leaves no image out; restore it'):
        photos[1]


def test_skipping_can_be_enabled_and_disabled(tmp_path):
    folder(tmp_path)
    for split in ('train', 'val'):
        damage(tmp_path / split / 'ant' / '0.png', 'text')
    assert LabelledPhotos(str(tmp_path), 'val', img_size=8, skip_unreadable=True)[0]['indices'] == 1
    with pytest.raises(UserError, match='ant/0.png is an HTML page'):
        LabelledPhotos(str(tmp_path), 'train', img_size=8, skip_unreadable=False)[0]


def test_no_readable_image_at_all_is_an_error(tmp_path):
    for path in folder(tmp_path).glob('train/*/*.png'):
        damage(path, 'text')
    with pytest.raises(UserError, match='none of the 6 images in .*train can be read: bee/1.png .* is the first'):
        LabelledPhotos(str(tmp_path), img_size=8)[3]


def test_the_message_about_an_unreadable_image_is_passed_on_from_a_worker(tmp_path):
    damage(folder(tmp_path) / 'val' / 'ant' / '1.png', 'text')
    loader = DataLoader(LabelledPhotos(str(tmp_path), 'val', img_size=8), 3, num_workers=1, collate_fn=collate_labelled)
    with pytest.raises(UserError) as caught:
        list(loader)
    assert str(caught.value).strip().splitlines()[-1].endswith('an evaluation leaves no image out; restore it')


# --- seeds ------------------------------------------------------------------------------------------------------------
def same(one: dict, other: dict) -> bool:
    return torch.equal(one['inputs'], other['inputs']) and one['labels'] == other['labels']


@pytest.mark.parametrize('transform', [None, dict(type='ProbeCrop')])
def test_a_seed_determines_an_item_regardless_of_the_order(tmp_path, transform):
    photos = LabelledPhotos(str(folder(tmp_path)), img_size=16, transform=transform)
    keys = [(index, seed) for index in range(6) for seed in (3, 2**62 + 5)]
    first = {key: photos[key] for key in keys}
    random.seed(9), np.random.seed(9), torch.default_generator.manual_seed(9)
    for key in reversed(keys):
        photos[0]
        assert same(photos[key], first[key])
    assert sum(same(first[index, 3], first[index, 2**62 + 5]) for index in range(6)) < 2


def test_items_do_not_change_the_states_of_the_generators(tmp_path):
    photos = LabelledPhotos(str(folder(tmp_path)), img_size=16)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    photos[0, 5]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2] and torch.equal(
        torch.get_rng_state(), states[2]
    )


def test_without_a_seed_training_draws_from_torch_s_generator(tmp_path):
    photos = LabelledPhotos(str(folder(tmp_path)), img_size=16)

    def items(seed):
        torch.default_generator.manual_seed(seed)
        return [photos[0] for _ in range(4)]

    one, again, other = items(1), items(1), items(2)
    assert all(same(*pair) for pair in zip(one, again)) and not all(same(*pair) for pair in zip(one, other))
    assert not all(same(item, one[0]) for item in one[1:])


@pytest.mark.parametrize('split', ['val', 'test', None])
def test_in_evaluation_even_random_crops_are_the_same_each_time(tmp_path, split):
    root = folder(tmp_path)
    (root / 'val').rename(root / 'test') if split == 'test' else None
    root = root / 'train' if split is None else root
    photos = LabelledPhotos(str(root), split, img_size=16, transform=dict(type='ProbeCrop'))
    assert all(same(photos[index], photos[index]) for index in range(6))


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # more workers than free cores
def test_workers_do_not_change_the_batches(tmp_path):
    photos = LabelledPhotos(str(folder(tmp_path)), img_size=16)

    def batches(workers):
        sampler = SeededSampler(photos, seed=3)
        return list(
            DataLoader(photos, 4, sampler=sampler, num_workers=workers, collate_fn=FUNCTIONS.get('collate_labelled'))
        )

    alone, shared = batches(0), batches(2)
    assert len(alone) == 2 and sorted(torch.cat([batch['indices'] for batch in alone]).tolist()) == list(range(6))
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one['inputs'], other['inputs']) and torch.equal(one['labels'], other['labels'])
        assert torch.equal(torch.from_numpy(photos.labels)[one['indices']], one['labels'])


def test_items_are_collated_to_a_batch():
    items = [
        dict(inputs=torch.full((3, 2, 2), i, dtype=torch.uint8), labels=9 - i, indices=10 * i, skipped=['x.jpg'] * i)
        for i in range(3)
    ]
    batch = collate_labelled(items)
    assert set(batch) == {'inputs', 'labels', 'indices', 'skipped'}
    assert batch['inputs'].shape == (3, 3, 2, 2) and batch['inputs'].dtype == torch.uint8
    assert batch['labels'].dtype == batch['indices'].dtype == torch.int64
    assert (
        batch['labels'].tolist() == [9, 8, 7]
        and batch['indices'].tolist() == [0, 10, 20]
        and batch['skipped'] == ['x.jpg'] * 3
    )
    assert collate_labelled([dict(item, group=f'fog/{i}') for i, item in enumerate(items)])['groups'] == [
        'fog/0',
        'fog/1',
        'fog/2',
    ]


# --- real images ------------------------------------------------------------------------------------------------------
DATA = Path(os.environ.get('MAE_TRANSFER_DATA', Path(__file__).parents[4] / 'shared' / 'data')) / 'tinyimagenet20'


@pytest.mark.skipif(
    not DATA.is_dir(), reason=f'no {DATA}: set MAE_TRANSFER_DATA to the folder that holds tinyimagenet20/'
)
@pytest.mark.parametrize('split, count', [('train', 10000), ('val', 1000)])
def test_tiny_imagenet(split, count):
    photos = LabelledPhotos(str(DATA), split, img_size=64)
    assert len(photos) == count and len(photos.metainfo['classes']) == 20
    assert np.bincount(photos.labels).tolist() == [count // 20] * 20
    grey = next(index for index in range(count) if Image.open(photos.root / photos.name(index)).mode == 'L')
    item = photos[grey]
    assert item['inputs'].shape == (3, 64, 64) and photos.name(grey).startswith(
        photos.metainfo['classes'][item['labels']]
    )
    assert np.bincount(LabelledPhotos(str(DATA), split, img_size=64, per_class=7).labels).tolist() == [7] * 20
