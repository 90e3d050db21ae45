"""Images with annotations in COCO's format: labels by class name, and images that cannot be used."""

import json
from pathlib import Path

import pytest
from PIL import Image

import mae_transfer  # noqa: F401 (native ops, before MMDetection)
from mae_transfer.data.coco_images import CocoImages
from mae_transfer.errors import UserError
from tests.own_data import CLASSES, SIZES, coco_content, photo

MINI = Path(__file__).parents[3] / 'shared' / 'data' / 'coco_mini'
PIPELINE = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.Resize', scale=(32, 32)),
    dict(type='mmdet.PackDetInputs'),
]


@pytest.fixture
def build(tmp_path):
    """A function that builds the data set from a content in COCO's format; all its images exist."""

    def of(content=None, metainfo=None, **settings):
        for seed, size in enumerate(SIZES):
            photo(tmp_path / f'{seed}.jpg', size, seed)
        (tmp_path / 'a.json').write_text(json.dumps(content or coco_content()))
        return CocoImages(
            data_root=str(tmp_path),
            ann_file='a.json',
            data_prefix=dict(img=''),
            metainfo=metainfo or dict(classes=CLASSES),
            serialize_data=False,
            **dict(dict(pipeline=PIPELINE), **settings),
        )

    return of


@pytest.mark.parametrize('classes', [CLASSES, CLASSES[::-1], ('cow', 'dog')])
def test_labels_follow_the_order_of_the_classes(classes, build):
    """Not the order of the categories, which may differ between files."""
    dataset = build(metainfo=dict(classes=classes))
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
def test_classes_that_the_file_does_not_have_are_refused(classes, says, tmp_path, build):
    """MMDetection would train only the other classes, and give them the names of the first ones."""
    with pytest.raises(UserError, match=says):
        build(metainfo=dict(classes=classes) if classes else dict(dataset_type='mine'))


def test_a_test_set_needs_no_annotations(build):
    content = coco_content()
    del content['annotations']
    assert len(build(content, test_mode=True)) == 3
    with pytest.raises(UserError, match="it has no list of dictionaries 'annotations'"):
        build(content)


def test_segmentations_are_needed_if_the_pipeline_loads_masks(build):
    content = coco_content()
    del content['annotations'][1]['segmentation']
    with pytest.raises(UserError, match='1 of 6 annotations have no segmentation'):
        build(content)
    without_masks = [PIPELINE[0], dict(type='mmdet.LoadAnnotations', with_bbox=True), *PIPELINE[2:]]
    assert len(build(content, pipeline=without_masks)) == 3


def test_annotations_without_iscrowd_are_no_crowd(build):
    content = coco_content()
    for entry in content['annotations']:
        del entry['iscrowd']
    assert [instance['ignore_flag'] for instance in build(content).get_data_info(2)['instances']] == [0, 0]


def test_a_data_set_without_usable_images_is_refused(build):
    with pytest.raises(
        UserError,
        match='none of its 7 objects is learnt from; left out: 1 of other classes, 6 in images that filter_cfg leaves '
        "out: set the data set's filter_cfg.min_size",
    ):
        build(filter_cfg=dict(filter_empty_gt=True, min_size=100))


# --- image files ------------------------------------------------------------------------------------------------------


def test_a_missing_image_file_is_refused_on_start_up(build, tmp_path):
    build()
    (tmp_path / '2.jpg').unlink()
    with pytest.raises(
        UserError,
        match=r'a.json: image file .*2.jpg does not exist: set data_prefix.*\(1 of 3 checked files are missing\)',
    ):
        CocoImages(
            data_root=str(tmp_path),
            ann_file='a.json',
            data_prefix=dict(img=''),
            pipeline=PIPELINE,
            metainfo=dict(classes=CLASSES),
        )


@pytest.mark.parametrize(
    'spoil, says',
    [
        (lambda file: file.unlink(), r'1.jpg cannot be read \(No such file'),
        (lambda file: file.write_bytes(b''), r'1.jpg is empty \(0 bytes\)'),
        (
            lambda file: file.write_bytes(b'no picture'),
            r'1.jpg \(10 bytes\) is not an image, or is truncated: repair it',
        ),
        (
            lambda file: photo(file, (61, 103)),
            r'1.jpg is 61 x 103 pixels, but .*a.json says 103 x 61: was the image resized or rotated',
        ),
    ],
)
def test_an_unusable_image_is_refused_when_it_is_loaded(spoil, says, build, tmp_path):
    dataset = build()
    spoil(tmp_path / '1.jpg')
    assert dataset[0] is not None
    with pytest.raises(UserError, match=says) as caught:
        dataset[1]
    assert '\n' not in str(caught.value)


def test_an_error_of_the_pipeline_is_not_blamed_on_the_image(build):
    dataset = build()
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
        pipeline=PIPELINE,
    )
    entry = dataset.get_data_info(0)
    with Image.open(entry['img_path']) as image:
        assert image.size == (entry['width'], entry['height'])
    assert all('are learnt from' in line or 'classes have no object' in line for line in logged), logged
    assert dataset.cat_ids[0] == 1 and dataset.cat_ids[-1] == 90 and len(dataset.cat_ids) == 80
    assert dataset[0]['inputs'].shape[0] == 3
