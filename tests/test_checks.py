"""What is wrong in a config is one line, before anything is built."""

import pytest
from mmengine.config import Config

from mae_transfer.checks import check_classes, check_data, check_sizes, data_loaders
from mae_transfer.errors import UserError
from tests.helpers import photo_folder

LABELLED = dict(type='LabelledPhotos', split='train')


def loader(**dataset) -> Config:
    return Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset', **dataset))))


@pytest.fixture
def coco(tmp_path):
    photo_folder(tmp_path / 'images', 1)
    (tmp_path / 'labels.json').write_text('{}')
    (tmp_path / 'empty').mkdir()
    return tmp_path


def test_data_that_is_there_passes(coco):
    check_data(loader(data_root=str(coco), ann_file='labels.json', data_prefix=dict(img='images/')), 'train')


@pytest.mark.parametrize('wrap', [lambda dataset: dataset, lambda dataset: dict(type='RepeatDataset', dataset=dataset)])
@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(data_root='{}/nowhere'), r'train_dataloader: .*nowhere does not exist: set the data root'),
        (dict(data_root='{}/empty', ann_file='', data_prefix=dict()), r'folder .*empty is empty'),
        (dict(data_prefix=dict(img='pictures/')), r'pictures does not exist'),
        (dict(data_prefix=dict(img='empty/')), r'folder .*empty is empty'),
        (dict(ann_file='other.json'), r'annotation file .*other.json does not exist'),
    ],
)
def test_missing_data_is_named_in_one_line(coco, wrap, changes, words):
    dataset = dict(dict(data_root='{}', ann_file='labels.json', data_prefix=dict(img='images/')), **changes)
    dataset['data_root'] = dataset['data_root'].format(coco)
    cfg = Config(dict(train_dataloader=dict(dataset=wrap(dataset))))
    with pytest.raises(UserError, match=words) as caught:
        check_data(cfg, 'train')
    assert '\n' not in str(caught.value)


def test_only_the_named_loaders_are_looked_at(coco):
    check_data(loader(data_root='nowhere'), 'val')


def test_the_train_images_of_a_protocol_without_training_are_looked_at_too(coco):
    cfg = Config(
        dict(test_cfg=dict(type='KNNLoop', train_dataloader=dict(dataset=dict(LABELLED, data_root='nowhere'))))
    )
    with pytest.raises(UserError, match='test_cfg.train_dataloader: nowhere does not exist'):
        check_data(cfg, 'test')
    check_data(cfg, 'train')
    assert list(data_loaders(cfg)) == ['test_cfg.train_dataloader']


@pytest.mark.parametrize('size', [0, -1, 2.5, '8'])
def test_a_batch_is_a_whole_number_of_images(size):
    with pytest.raises(
        UserError, match=f'val_dataloader.batch_size is a whole number of images, 1 or more; found {size}'
    ):
        check_sizes(Config(dict(model=dict(), val_dataloader=dict(batch_size=size))), 'train', 'val')


@pytest.mark.parametrize('size, fits', [(3, False), (4, True)])
def test_images_are_mixed_in_pairs(size, fits):
    cfg = Config(
        dict(model=dict(data_preprocessor=dict(mixup=dict(mixup_alpha=0.8))), train_dataloader=dict(batch_size=size))
    )
    if fits:
        return check_sizes(cfg, 'train')
    with pytest.raises(UserError, match='choose an even train_dataloader.batch_size; found 3'):
        check_sizes(cfg, 'train')


@pytest.mark.parametrize('arch, size, advice', [('base', 100, 96), ('huge', (224, 230), 224)])
def test_crops_are_multiples_of_the_patch(arch, size, advice):
    cfg = Config(dict(model=dict(vit=dict(arch=arch)), train_dataloader=dict(dataset=dict(img_size=size))))
    with pytest.raises(UserError, match=f'is not divisible by patch_size .*: choose a multiple, e.g. {advice}$'):
        check_sizes(cfg, 'train')


def labelled(root, num_classes: int) -> Config:
    return Config(
        dict(
            model=dict(num_classes=num_classes),
            train_dataloader=dict(dataset=dict(LABELLED, data_root=str(root))),
            val_dataloader=dict(dataset=dict(LABELLED, data_root=str(root), split='val')),
        )
    )


def test_the_data_s_classes_are_the_model_s(tmp_path):
    for name in ('train/cat', 'train/dog', 'val/cat', 'val/dog'):
        photo_folder(tmp_path / name, 1)
    check_classes(labelled(tmp_path, 2))
    with pytest.raises(
        UserError,
        match='the data has 2 classes, the model has num_classes=1000: choose --cfg-options model.num_classes=2',
    ):
        check_classes(labelled(tmp_path, 1000))
    photo_folder(tmp_path / 'val' / 'cow', 1)
    with pytest.raises(UserError, match=r'classes of train \(2\) and val \(3\) differ: 1 only in val \(cow\)'):
        check_classes(labelled(tmp_path, 2))


def test_data_without_labels_have_no_classes_to_compare():
    check_classes(Config(dict(model=dict(), train_dataloader=dict(dataset=dict(type='Photos', data_root='nowhere')))))
