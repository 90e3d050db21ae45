"""Images with annotations in COCO's format: labels by class name, and images that cannot be used."""

from pathlib import Path

import pytest
from PIL import Image

import mae_transfer  # noqa: F401 (native ops, before MMDetection)
from mae_transfer.data.coco.images import CocoImages
from mae_transfer.errors import UserError
from tests.own_data import CLASSES, DETECTION_PIPELINE, SIZES, coco_content, photo

MINI = Path(__file__).parents[4] / 'shared' / 'data' / 'coco_mini'


@pytest.mark.parametrize('classes', [CLASSES, CLASSES[::-1], ('cow', 'dog')])
def test_labels_follow_the_order_of_the_classes(classes, coco_images):
    """Not the order of the categories, which may differ between files."""
    dataset = coco_images(metainfo=dict(classes=classes))
    names = {
        annotation['id']: category['name']
        for annotation in coco_content()['annotations']
        for category in coco_content()['categories']
        if category['id'] == annotation['category_id']
    }
    wanted = [(a['bbox'][0], names[a['id']]) for a in coco_content()['annotations'] if names[a['id']] in classes]
    found = [
        (instance['bbox'][0], classes[instance['bbox_label']])
        for i in range(3)
        for instance in dataset.get_data_info(i)['instances']
    ]
    assert found == wanted
    item = dataset[2]
    assert item['data_samples'].gt_instances.masks.masks.any((1, 2)).all() and item['inputs'].shape[0] == 3


@pytest.mark.parametrize(
    'classes, says',
    [
        (
            ('dog', 'cat', 'horse'),
            r"2 of the config's 3 classes are not among its categories, e.g. 'cat'; the file has traffic light, dog, ",
        ),
        (None, r"77 of the config's 80 classes are not among its categories, e.g. 'person'"),
    ],
)
def test_classes_that_the_file_does_not_have_are_refused(classes, says, tmp_path, coco_images):
    """MMDetection would train only the other classes, and give them the names of the first ones."""
    with pytest.raises(UserError, match=says):
        coco_images(metainfo=dict(classes=classes) if classes else dict(dataset_type='mine'))


def test_a_test_set_needs_no_annotations(coco_images):
    content = coco_content()
    del content['annotations']
    assert len(coco_images(content, test_mode=True)) == 3
    with pytest.raises(UserError, match="it has no list of dictionaries 'annotations'"):
        coco_images(content)


def test_segmentations_are_needed_if_the_pipeline_loads_masks(coco_images):
    content = coco_content()
    del content['annotations'][1]['segmentation']
    with pytest.raises(UserError, match='1 of 6 annotations have no segmentation'):
        coco_images(content)
    without_masks = [DETECTION_PIPELINE[0], dict(type='mmdet.LoadAnnotations', with_bbox=True), *DETECTION_PIPELINE[2:]]
    assert len(coco_images(content, pipeline=without_masks)) == 3


def test_annotations_without_iscrowd_are_no_crowd(coco_images):
    content = coco_content()
    for entry in content['annotations']:
        del entry['iscrowd']
    assert [instance['ignore_flag'] for instance in coco_images(content).get_data_info(2)['instances']] == [0, 0]


def test_a_category_without_objects_makes_a_class_known(coco_images):
    """The advice where a file lacks a class works: to list it in the categories, or to choose others."""
    content = coco_content()
    del content['categories'][0]
    content['annotations'] = [entry for entry in content['annotations'] if entry['category_id'] != 7]
    with pytest.raises(
        UserError, match=r"list the class in 'categories' \(no image has to show it\), or .* classes=dog,cow$"
    ):
        coco_images(content, test_mode=True)
    coco_images(content, test_mode=True, metainfo=dict(classes=('dog', 'cow')))
    content['categories'].append(dict(id=70, name='traffic light'))
    assert len(coco_images(content, test_mode=True)) == 3


# --- image files ------------------------------------------------------------------------------------------------------


def test_a_missing_image_file_is_refused_on_start_up(coco_images, tmp_path):
    coco_images()
    (tmp_path / '2.jpg').unlink()
    with pytest.raises(
        UserError,
        match=r'a.json: image file .*2.jpg does not exist: set data_prefix.*\(1 of 3 checked files are missing\)',
    ):
        CocoImages(
            data_root=str(tmp_path),
            ann_file='a.json',
            data_prefix=dict(img=''),
            pipeline=DETECTION_PIPELINE,
            metainfo=dict(classes=CLASSES),
        )


@pytest.mark.parametrize(
    'spoil, says',
    [
        (lambda file: file.unlink(), r'1.jpg cannot be read \(No such file'),
        (lambda file: file.write_bytes(b''), r'1.jpg is empty \(0 bytes\)'),
        (
            lambda file: file.write_bytes(b'no picture'),
            r'1.jpg is not an image, or is truncated \(10 bytes\): repair it',
        ),
    ],
)
def test_an_unreadable_image_is_left_out_of_the_training_and_ends_an_evaluation(spoil, says, coco_images, tmp_path):
    training, evaluation = coco_images(), coco_images(test_mode=True)
    spoil(tmp_path / '1.jpg')
    assert 'skipped' not in training[0]['data_samples'].metainfo
    for key in (1, (1, 5)):
        skipped = training[key]['data_samples'].metainfo['skipped']
        assert skipped and all('1.jpg (' in line for line in skipped)
    once, again = training[1, 5], training[1, 5]
    assert once['inputs'].equal(again['inputs']) and not once['data_samples'].img_path.endswith('1.jpg')
    with pytest.raises(UserError, match=says) as caught:
        evaluation[1]
    assert '\n' not in str(caught.value)


def test_training_ends_where_no_image_can_be_read(coco_images, tmp_path):
    dataset = coco_images()
    for file in tmp_path.glob('*.jpg'):
        file.write_bytes(b'')
    with pytest.raises(UserError, match='none of 100 images, drawn one after another, can be read: .*jpg'):
        dataset[0]


def test_an_image_of_another_size_than_annotated_is_refused(coco_images, tmp_path):
    dataset = coco_images()
    photo(tmp_path / '1.jpg', (61, 103))
    with pytest.raises(
        UserError, match='1.jpg is 61 x 103 pixels, but .*a.json says 103 x 61: are width and height ex'
    ):
        dataset[1]


@pytest.mark.parametrize('orientation', [6, 8])
@pytest.mark.parametrize('is_turned', [True, False])
def test_boxes_of_the_other_exif_orientation_are_told(orientation, is_turned, coco_images, tmp_path):
    """Both ways: the pipeline turns the photo and the boxes fit it as stored, or the reverse."""
    content = coco_content()
    image = content['images'][1]
    if not is_turned:
        image['width'], image['height'] = image['height'], image['width']
        content['annotations'] = [entry for entry in content['annotations'] if entry['image_id'] != 11]
    flag = 'color' if is_turned else 'unchanged'
    pipeline = [dict(type='mmdet.LoadImageFromFile', color_type=flag), *DETECTION_PIPELINE[1:]]
    dataset = coco_images(content, pipeline=pipeline)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', SIZES[1]).save(tmp_path / '1.jpg', exif=exif)
    found, said = ('61 x 103', '103 x 61') if is_turned else ('103 x 61', '61 x 103')
    fits = 'stored' if is_turned else 'shown'
    with pytest.raises(
        UserError,
        match=rf"1.jpg is {found} pixels, but .*a.json says {said}: the photo's EXIF orientation exchanges its sides, "
        rf'and the boxes fit it as it is {fits}: set --cfg-options exif_orientation={not is_turned}$',
    ):
        dataset[1]


@pytest.mark.parametrize('literal', [False, True])
def test_backslashes_in_file_names(literal, coco_images, tmp_path, logged):
    """They are folders, as Windows writes them, unless the files have such names."""
    content = coco_content()
    for image in content['images']:
        name = image['file_name']
        image['file_name'] = f'sub\\{name}'
        photo(tmp_path / (f'sub\\{name}' if literal else f'sub/{name}'), (image['width'], image['height']))
    dataset = coco_images(content)
    assert dataset[0] is not None
    told = [line.split('a.json: ')[1] for line in logged if 'with backslashes' in line]
    assert told == (
        [] if literal else [r"3 of 3 images have a file_name with backslashes, e.g. 'sub\\0.jpg': taken as folders"]
    )


@pytest.mark.parametrize(
    'change, settings, says',
    [
        (lambda name: f'./{name}', {}, None),
        (lambda name: '{folder}/' + name, {}, None),
        (
            lambda name: f'C:\\data\\{name}',
            {},
            'file_name is an absolute path, of another machine it seems: write it relative',
        ),
        (lambda name: f'/home/me/{name}', {}, 'file_name is an absolute path, of another machine'),
        (
            lambda name: f'https://example.com/{name}',
            {},
            'have an address as file_name, e.g. https://example.com/0.jpg: down',
        ),
        (lambda name: f'images/{name}', {}, '/0.jpg does: leave the folders out of file_name'),
        (lambda name: name[:-4], {}, '/0.jpg does: write file_name as the file is called'),
        (lambda name: name.upper(), {}, '/0.jpg does: write file_name as the file is called'),
        (lambda name: name.replace('.', '%2E'), {}, '0.jpg does: write file_name without %-codes'),
        (lambda name: f' {name}', {}, '0.jpg does: write file_name without spaces around it'),
        (
            lambda name: name,
            dict(data_prefix=dict(img='x/')),
            'file_name holds the folder: set --cfg-options train_dataloader.dataset.data_prefix.img=.',
        ),
        (lambda name: name, dict(data_prefix=dict(img=None)), None),
        (
            lambda name: f'images/none{name}',
            {},
            'set data_prefix, e.g. --cfg-options train_dataloader.dataset.data_prefix.img=',
        ),
        (
            lambda name: f'images/none{name}',
            dict(test_mode=True),
            'val_dataloader.dataset.data_prefix.img=images/ test_dataload',
        ),
    ],
)
def test_paths_of_images(change, settings, says, coco_images, tmp_path):
    content = coco_content()
    for image in content['images']:
        image['file_name'] = change(image['file_name']).format(folder=tmp_path)
    if says is None:
        assert coco_images(content, **settings)[0] is not None
        return
    with pytest.raises(UserError) as caught:
        coco_images(content, **settings)
    assert says in str(caught.value)


def test_an_error_of_the_pipeline_is_not_blamed_on_the_image(coco_images):
    dataset = coco_images()
    dataset.pipeline.transforms[2].scale = 'wide'
    with pytest.raises(Exception) as caught:
        dataset[0]
    assert not isinstance(caught.value, UserError)


@pytest.mark.skipif(not MINI.is_dir(), reason='COCO images are not available')
@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_coco_files_pass(split, logged):
    """In their plain form already: the one line, on what is left, and those on classes that do not occur."""
    dataset = CocoImages(
        data_root=str(MINI),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix=dict(img=f'{split}2017/'),
        pipeline=DETECTION_PIPELINE,
    )
    entry = dataset.get_data_info(0)
    with Image.open(entry['img_path']) as image:
        assert image.size == (entry['width'], entry['height'])
    assert all('are learnt from' in line or 'classes have no object' in line for line in logged), logged
    assert dataset.cat_ids[0] == 1 and dataset.cat_ids[-1] == 90 and len(dataset.cat_ids) == 80
    assert dataset[0]['inputs'].shape[0] == 3
