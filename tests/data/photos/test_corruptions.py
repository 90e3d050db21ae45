"""ImageNet-C: every image has its corruption and severity."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from mae_transfer.data import ImageNetC, collate_labelled
from mae_transfer.data.photos.corruptions import CORRUPTIONS
from mae_transfer.errors import UserError
from mae_transfer.registry import DATASETS
from tests.helpers import save_photo


def corrupted(root: Path, *corruptions: str, classes=('n01440764', 'n15075141')) -> Path:
    """Write one image of each class, and two of the last class, for each corruption and severity."""
    for seed, corruption in enumerate(corruptions):
        for severity in range(1, 6):
            for name in (
                *(f'{wnid}/ILSVRC2012_val_00000001.png' for wnid in classes),
                f'{classes[-1]}/ILSVRC2012_val_00000002.png',
            ):
                save_photo(root / corruption / str(severity) / name, 10 * seed + severity, (12, 12))
    return root


def test_every_image_has_its_corruption_and_severity(tmp_path):
    root = corrupted(tmp_path, 'fog', 'snow', 'speckle_noise')
    photos = DATASETS.build(dict(type='ImageNetC', data_root=str(root), corruptions=('snow', 'fog'), img_size=8))
    groups = [f'{corruption}/{severity}' for corruption in ('snow', 'fog') for severity in range(1, 6)]
    assert len(photos) == 30 and photos.labels.tolist() == [0, 999, 999] * 10
    items = [photos[index] for index in range(30)]
    assert [item['group'] for item in items] == [group for group in groups for _ in range(3)]
    assert [item['indices'] for item in items] == list(range(30))
    assert all(photos.name(index).startswith(item['group'] + '/n') for index, item in enumerate(items))
    assert photos.metainfo['groups'] == tuple(groups) and photos.metainfo['present'] == (0, 999)
    assert len(photos.metainfo['classes']) == 1000
    again = [photos[index, 5] for index in range(30)]
    assert all(torch.equal(one['inputs'], other['inputs']) for one, other in zip(items, again))
    assert not torch.equal(items[0]['inputs'], items[3]['inputs'])


def test_the_standard_fifteen_are_the_default(tmp_path):
    photos = ImageNetC(str(corrupted(tmp_path, *CORRUPTIONS, 'speckle_noise')), img_size=8)
    assert len(CORRUPTIONS) == 15 and photos.metainfo['groups'][::5] == tuple(f'{name}/1' for name in CORRUPTIONS)
    assert len(photos) == 15 * 5 * 3 and not any('speckle' in group for group in photos.metainfo['groups'])


def test_folders_may_have_different_numbers_of_images(tmp_path):
    (corrupted(tmp_path, 'fog') / 'fog' / '2' / 'n15075141' / 'ILSVRC2012_val_00000001.png').unlink()
    photos = ImageNetC(str(tmp_path), ('fog',), img_size=8)
    assert [photos[index]['group'] for index in (2, 3, 4, 5, 13)] == ['fog/1', 'fog/2', 'fog/2', 'fog/3', 'fog/5']


def test_a_batch_has_the_groups_of_its_images(tmp_path):
    photos = ImageNetC(str(corrupted(tmp_path, 'fog')), ('fog',), img_size=8)
    batch = list(DataLoader(photos, 4, collate_fn=collate_labelled))[1]
    assert batch['groups'] == ['fog/2', 'fog/2', 'fog/3', 'fog/3'] and batch['labels'].tolist() == [999, 999, 0, 999]


@pytest.mark.parametrize('classes, labels, names', [(['b', 'a'], [1, 0, 0], ('b', 'a')), (None, [0, 1, 1], ('a', 'b'))])
def test_other_classes_than_imagenet_s_are_possible(tmp_path, classes, labels, names):
    photos = ImageNetC(str(corrupted(tmp_path, 'fog', classes=('a', 'b'))), ('fog',), classes=classes, img_size=8)
    assert sorted(photos.labels[:3].tolist()) == sorted(labels) and photos.metainfo['classes'] == names
    assert all(names[photos.labels[index]] == photos.name(index).split('/')[2] for index in range(15))


def test_without_given_classes_all_folders_must_have_those_of_the_first(tmp_path):
    save_photo(corrupted(tmp_path, 'fog', classes=('b', 'c')) / 'fog' / '3' / 'a' / 'x.png')
    with pytest.raises(UserError, match="fog/3: 1 of 3 class folders are not among the 2 classes, e.g. 'a'"):
        ImageNetC(str(tmp_path), ('fog',), classes=None)


def test_missing_folders_are_reported_with_those_found(tmp_path):
    root = corrupted(tmp_path, 'fog', 'frost')
    with pytest.raises(
        UserError, match="65 of 75 folders are missing, e.g. 'gaussian_noise/1'; found fog, frost; choose fewer"
    ):
        ImageNetC(str(root))
    (root / 'fog' / '3').rename(root / 'fog' / 'three')
    with pytest.raises(UserError, match="1 of 5 folders are missing, e.g. 'fog/3'"):
        ImageNetC(str(root), ('fog',))
    with pytest.raises(UserError, match='nowhere does not exist'):
        ImageNetC(str(root / 'nowhere'))
    with pytest.raises(UserError, match='names no corruption'):
        ImageNetC(str(root), ())


def test_an_unreadable_image_is_an_error(tmp_path):
    path = corrupted(tmp_path, 'fog') / 'fog' / '1' / 'n01440764' / 'ILSVRC2012_val_00000001.png'
    path.write_text('no image')
    with pytest.raises(UserError, match='fog/1/n01440764/ILSVRC2012_val_00000001.png cannot be read as an image'):
        ImageNetC(str(tmp_path), ('fog',), img_size=8)[0]
