"""Annotations in COCO's format: each mistake is one line that names the file, and what is right is left alone."""

import json
from pathlib import Path

import pytest
from PIL import Image

import mae_transfer  # noqa: F401 (native ops, before MMDetection)
from mae_transfer.data.coco_file import TOLERATED_SHARE, read_coco
from mae_transfer.data.coco_images import CocoImages
from mae_transfer.errors import UserError
from tests.own_data import CLASSES, SIZES, annotation, coco_content, photo

MINI = Path(__file__).parents[3] / 'shared' / 'data' / 'coco_mini'
PIPELINE = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.Resize', scale=(32, 32)),
    dict(type='mmdet.PackDetInputs'),
]


def write(folder, content):
    file = folder / 'a.json'
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.fixture
def build(tmp_path):
    """Makes the data set of a content in COCO's format, its images all there."""

    def of(content=None, metainfo=None, **settings):
        for seed, size in enumerate(SIZES):
            photo(tmp_path / f'{seed}.jpg', size, seed)
        write(tmp_path, content or coco_content())
        return CocoImages(
            data_root=str(tmp_path),
            ann_file='a.json',
            data_prefix=dict(img=''),
            pipeline=PIPELINE,
            metainfo=metainfo or dict(classes=CLASSES),
            serialize_data=False,
            **settings,
        )

    return of


@pytest.mark.parametrize('classes', [CLASSES, CLASSES[::-1], ('cow', 'dog')])
def test_labels_follow_the_order_of_the_classes(classes, build):
    """Not the order of the file's categories, which differs from file to file."""
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


def break_(part, change, index=1):
    """A mistake: ``change(entry)`` of one entry of the content."""

    def apply(content):
        change(content[part][index])
        return content

    return apply


def keep_out(key):
    return lambda content: {name: value for name, value in content.items() if name != key}


MISTAKES = {
    'cut short': (
        lambda content: json.dumps(content)[:-40],
        r'is no JSON file: .*line 1 column \d+.*: is it cut short\?',
    ),
    'not text': (lambda content: '\0', r'is no JSON file'),
    'a list': (lambda content: [content], r"is not in COCO's format: a dictionary of .*; found a list"),
    'no annotations': (keep_out('annotations'), r"no list of dictionaries 'annotations' \(it has images, categories\)"),
    'no categories': (keep_out('categories'), r"no list of dictionaries 'categories'"),
    'empty': (lambda content: dict(content, annotations=[]), r"the list 'annotations' is empty"),
    'no file_name': (
        break_('images', lambda e: e.pop('file_name')),
        r"1 of 3 images have no 'file_name', e.g. id 11: ",
    ),
    'no width': (
        break_('images', lambda e: e.pop('width')),
        r"1 of 3 images have no 'width', e.g. id 11, file_name '1.jpg'",
    ),
    'no height': (
        break_('images', lambda e: e.update(height=0)),
        r'1 of 3 images have no width and height above 0, e.g. id 11',
    ),
    'no area': (
        break_('annotations', lambda e: e.pop('area')),
        r"1 of 7 annotations have no 'area', e.g. id 2, image_id 10: give each",
    ),
    'image twice': (
        break_('images', lambda e: e.update(id=10)),
        r"1 of 3 images have the 'id' of another, e.g. 10 occurs 2 times",
    ),
    'annotation twice': (
        break_('annotations', lambda e: e.update(id=1)),
        r"1 of 7 annotations have the 'id' of another, e.g. 1 occurs",
    ),
    'category twice': (
        break_('categories', lambda e: e.update(name='cow')),
        r"1 of 3 categories have the 'name' of another, e.g. 'cow'",
    ),
    'category_id': (
        break_('annotations', lambda e: e.update(category_id=80)),
        r"1 of 7 annotations have a category_id that 'categories' does not list, e.g. id 2, .* 80: it lists 3, 5, 7",
    ),
    'image_id': (
        break_('annotations', lambda e: e.update(image_id=99)),
        r"1 of 7 annotations are of an image that 'images' does not list, e.g. id 2, image_id 99",
    ),
    'three numbers': (
        break_('annotations', lambda e: e.update(bbox=[1, 2, 3])),
        r'1 of 7 .* not four numbers, e.g. .*bbox \[1, 2, 3\]: ',
    ),
    'text': (
        break_('annotations', lambda e: e.update(bbox=['1', 2, 3, 4])),
        r"not four numbers, e.g. .*bbox \['1', 2, 3, 4\]",
    ),
    'none': (break_('annotations', lambda e: e.update(bbox=None)), r'not four numbers, e.g. .*bbox None'),
    'corners': (
        break_('annotations', lambda e: e.update(bbox=[60, 50, 70, 60])),
        r"1 of 7 annotations have a box outside of the image, e.g. id 2, image_id 10, '0.jpg', bbox .*60\], "
        r'image 70 x 90: ',
    ),
    'left': (
        break_('annotations', lambda e: e.update(bbox=[-2.1, 5, 20, 20])),
        r'outside of the image, e.g. .*bbox \[-2.1,',
    ),
    'flat': (
        break_('annotations', lambda e: e.update(bbox=[5, 5, 20, 0])),
        r'1 of 7 annotations have a box without area, e.g. id 2',
    ),
    'negative': (
        break_('annotations', lambda e: e.update(bbox=[25, 5, -20, 9])),
        r'1 of 7 .* negative width or .* not its corners$',
    ),
    'not finite': (
        break_('annotations', lambda e: e.update(bbox=[float('nan'), 5, 20, 9])),
        r'or one that is not finite, e.g. id 2',
    ),
    'no mask': (
        break_('annotations', lambda e: e.update(segmentation=[])),
        r'1 of 6 annotations have no segmentation, .*e.g. id 2',
    ),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_mistake(name, build, tmp_path):
    change, says = MISTAKES[name]
    with pytest.raises(UserError, match=says) as caught:
        build(change(coco_content()))
    line = str(caught.value)
    assert line.startswith(str(tmp_path / 'a.json')) and '\n' not in line and len(line) < 400


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
def test_classes_that_the_file_does_not_have(classes, says, tmp_path, build):
    """MMDetection would learn the others alone, under the names of the first ones."""
    with pytest.raises(UserError, match=says):
        build(metainfo=dict(classes=classes) if classes else dict(dataset_type='mine'))


@pytest.mark.parametrize(
    'box, passes',
    [([-2, -1.5, 73, 93], True), ([-2.1, 0, 5, 5], False), ([0, 0, 72.1, 5], False), ([0, 88, 9, 4.1], False)],
)
def test_boxes_may_reach_two_pixels_beyond(box, passes, tmp_path):
    content = coco_content()
    content['annotations'][0] = annotation(1, 10, 3, tuple(box))
    file = write(tmp_path, content)
    if passes:
        return read_coco(str(file))
    with pytest.raises(UserError, match='outside of the image'):
        read_coco(str(file))


@pytest.mark.parametrize('boxes, passes', [(2, True), (3, False)])
def test_what_is_rare_is_left_out_with_a_warning(boxes, passes, tmp_path, monkeypatch):
    """As the two boxes without height of COCO 2017."""
    said, total = [], 25
    assert TOLERATED_SHARE == 1e-4
    monkeypatch.setattr('mae_transfer.data.coco_file.TOLERATED_SHARE', 0.1)
    monkeypatch.setattr('mae_transfer.data.coco_file.print_log', lambda text, **settings: said.append(text))
    content = coco_content()
    content['annotations'] = [
        annotation(i, 10, 3, (5, 5, 9, 0 if i < boxes else 9), segmentation=[]) for i in range(total)
    ]
    file = write(tmp_path, content)
    if passes:
        read_coco(str(file))
        assert len(said) == 1
        assert said[0].startswith(
            f'{file}: 2 of {total} annotations have a box without area and are left out, e.g. id 0 ('
        )
    else:
        with pytest.raises(UserError, match=f'3 of {total} annotations have a box without area'):
            read_coco(str(file))


def test_a_test_set_needs_no_annotations(build):
    content = keep_out('annotations')(coco_content())
    assert len(build(content, test_mode=True)) == 3


def test_annotations_without_iscrowd_are_no_crowd(build):
    content = coco_content()
    for entry in content['annotations']:
        del entry['iscrowd']
    assert [instance['ignore_flag'] for instance in build(content).get_data_info(2)['instances']] == [0, 0]


def test_no_image_left(build):
    with pytest.raises(
        UserError, match='none of its 3 images has an object of the classes dog, traffic light and is large enough'
    ):
        build(filter_cfg=dict(filter_empty_gt=True, min_size=100))


# Image files


def test_images_that_are_not_there(build, tmp_path):
    build()
    (tmp_path / '2.jpg').unlink()
    with pytest.raises(
        UserError, match=r'a.json: image file .*2.jpg does not exist: set data_prefix.*\(1 of 3 looked for'
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
            r'1.jpg \(10 bytes\) is no image, or is cut short: put it right',
        ),
        (
            lambda file: photo(file, (61, 103)),
            r'1.jpg is 61 x 103 pixels, but .*a.json says 103 x 61: was the image resized or turned',
        ),
    ],
)
def test_an_image_that_cannot_be_used(spoil, says, build, tmp_path):
    dataset = build()
    spoil(tmp_path / '1.jpg')
    assert dataset[0] is not None
    with pytest.raises(UserError, match=says) as caught:
        dataset[1]
    assert '\n' not in str(caught.value)


def test_a_fault_of_the_pipeline_is_not_taken_for_the_image_s(build):
    dataset = build()
    dataset.pipeline.transforms[2].scale = 'wide'
    with pytest.raises(Exception) as caught:
        dataset[0]
    assert not isinstance(caught.value, UserError)


@pytest.mark.skipif(not MINI.is_dir(), reason='no part of COCO here')
@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_coco_passes(split, monkeypatch):
    monkeypatch.setattr('mae_transfer.data.coco_file.print_log', lambda text, **settings: pytest.fail(text))
    dataset = CocoImages(
        data_root=str(MINI),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix=dict(img=f'{split}2017/'),
        pipeline=PIPELINE,
    )
    entry = dataset.get_data_info(0)
    with Image.open(entry['img_path']) as image:
        assert image.size == (entry['width'], entry['height'])
    assert dataset.cat_ids[0] == 1 and dataset.cat_ids[-1] == 90 and len(dataset.cat_ids) == 80
    assert dataset[0]['inputs'].shape[0] == 3
