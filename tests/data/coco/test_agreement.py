"""Boxes, masks, areas and images that are possible one by one, but do not agree."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mae_transfer.data.coco.file import read_coco
from mae_transfer.errors import UserError
from tests.coco_forms import as_rle, entries, write
from tests.own_data import annotation, coco_content

FAR = (40, 30, 20, 22)  # left, top, width, height: as corners, centre or turned it is within the images, too


def objects(change):
    """A content whose objects have the box ``FAR``, a mask that fills it, and what ``change(x, y, w, h)`` says."""
    x, y, w, h = FAR
    content = coco_content()
    for entry in content['annotations']:
        entry.update(bbox=list(FAR), segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]], area=w * h)
        entry.update(change(x, y, w, h))
        entry['bbox'][0] += entry['id'] / 100  # not the same twice
    return content


def within(box):
    """A content of larger images, in which such a box lies."""
    content = objects(lambda *_: dict(bbox=list(box), area=None))
    for image in content['images']:
        image.update(width=200, height=200)
    return content


@pytest.mark.parametrize(
    'box, name',
    [
        ((40, 30, 60, 52), '[left, top, right, bottom]'),
        ((50, 41, 20, 22), '[centre x, centre y, width, height]'),
        ((30, 40, 52, 60), '[top, left, bottom, right]'),
        ((30, 40, 22, 20), '[top, left, height, width]'),
    ],
)
def test_boxes_in_another_format_are_told_by_their_masks(box, name, tmp_path):
    with pytest.raises(UserError) as caught:
        read_coco(str(write(tmp_path, within(box))), masks=True)
    assert f'7 of 7 annotations have a bbox that fits its mask as {name}, e.g. id 1' in str(caught.value)
    assert str(caught.value).endswith(': bbox is [left, top, width, height] in pixels')


def test_corners_are_told_by_the_areas_where_no_masks_are_learnt(tmp_path):
    content = within((40, 30, 60, 52))
    for entry in content['annotations']:
        entry['area'] = (60 - 40) * (52 - 30)
    with pytest.raises(UserError, match=r'7 of 7 annotations have a bbox that fits its area as .left, top, right, bot'):
        read_coco(str(write(tmp_path, content)))


@pytest.mark.parametrize('masks', [False, True])
def test_boxes_from_the_corner_of_the_image_are_what_they_say(masks, tmp_path, logged):
    """From (0, 0), corners and widths are the same numbers."""
    content = coco_content()
    for number, entry in enumerate(content['annotations']):
        entry.update(annotation(entry['id'], entry['image_id'], entry['category_id'], (0, 0, 30 + number, 40)))
        entry['area'] = (30 + number) * 40
    assert len(read_coco(str(write(tmp_path, content)), masks=masks).anns) == 7 and not logged


def along_rows(content, invert=False):
    for entry in content['annotations']:
        image = next(image for image in content['images'] if image['id'] == entry['image_id'])
        sides = image['height'], image['width']
        mask = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(entry['segmentation'], *sides)))
        pixels = 1 - mask.ravel(order='F') if invert else mask.ravel()
        changes = np.flatnonzero(np.diff(np.r_[0, pixels])).tolist()
        entry['segmentation'] = dict(size=sides, counts=np.diff([0, *changes, pixels.size]).tolist())
    return content


@pytest.mark.parametrize('invert', [False, True])
def test_masks_along_the_rows_or_inverted_are_refused(invert, tmp_path):
    with pytest.raises(UserError) as caught:
        read_coco(str(write(tmp_path, along_rows(coco_content(), invert))), masks=True)
    assert 'annotations have a mask that ' in str(caught.value)
    assert str(caught.value).endswith('run down the columns, and begin with the pixels outside of the object')


@pytest.mark.parametrize('factor', [1e-4, 1e4])
def test_areas_that_cannot_be_those_of_the_boxes_are_worked_out(factor, tmp_path, logged):
    content = entries('annotations', lambda entry, _: entry.update(area=entry['area'] * factor))(coco_content())
    read = read_coco(str(write(tmp_path, content)))
    plain = {entry['id']: entry['area'] for entry in coco_content()['annotations']}
    assert all(abs(entry['area'] / plain[id_] - 1) < 0.1 for id_, entry in read.anns.items())
    assert len(logged) == 1 and '7 of 7 annotations have an area in square pixels that cannot be that' in logged[0]


def test_a_single_odd_area_is_left_as_it_is(tmp_path, logged):
    content = coco_content()
    content['annotations'][0]['area'] = 1e5
    assert read_coco(str(write(tmp_path, content))).anns[1]['area'] == 1e5 and not logged


def once_more(content, objects):
    content['images'].append(dict(content['images'][0], id=99, file_name='./0.jpg'))
    for entry in [entry for entry in content['annotations'] if entry['image_id'] == 10][:objects]:
        content['annotations'].append(dict(entry, id=100 + entry['id'], image_id=99))
    return content


@pytest.mark.parametrize('objects', [0, 1])
def test_an_image_with_two_entries_of_other_objects_is_refused(objects, tmp_path):
    with pytest.raises(UserError, match=r"1 of 4 images have the file_name of another, but other .* '\./0.jpg': lis"):
        read_coco(str(write(tmp_path, once_more(coco_content(), objects))))


def test_an_image_twice_with_the_same_objects_is_told(tmp_path, logged):
    read_coco(str(write(tmp_path, once_more(coco_content(), 2))))
    assert len(logged) == 1 and "1 of 4 images have the file_name and the objects of another, e.g. './0" in logged[0]


def test_an_object_twice_is_told(tmp_path, logged):
    content = coco_content()
    content['annotations'] += [dict(entry, id=100 + entry['id']) for entry in content['annotations'][:2]]
    # the same box with another mask, or another class, is another object
    content['annotations'] += [dict(content['annotations'][0], id=200, segmentation=[[4, 6, 32, 6, 32, 36]])]
    content['annotations'] += [dict(content['annotations'][0], id=201, category_id=5)]
    read_coco(str(write(tmp_path, content)))
    assert (
        len(logged) == 1 and '2 of 11 annotations repeat another (image, class, box and mask), e.g. id 1' in logged[0]
    )


def test_bytes_of_an_rle_as_a_list_of_numbers_are_read(tmp_path, logged):
    content = as_rle(True, lambda found: dict(found, counts=[*found['counts'].encode()]))(coco_content())
    read = read_coco(str(write(tmp_path, content)), masks=True)
    plain = read_coco(str(write(tmp_path, as_rle(True)(coco_content()))), masks=True)
    assert all((read.annToMask(read.anns[i]) == plain.annToMask(plain.anns[i])).all() for i in plain.anns)
    assert len(logged) == 1 and "RLE whose counts are Python's bytes, as text or as a list of numbers" in logged[0]


@pytest.mark.parametrize(
    'part, value, says',
    [
        ('categories', {'1': 'dog'}, 'such as [{"id": 1, "name": "dog"}]: it is a dict, {\'1\': \'dog\'}'),
        ('categories', ['dog', 'cow'], "it is a list with a str, 'dog'"),
        ('categories', None, "no list of dictionaries 'categories', which is null"),
        ('images', {'10': {}}, "no list of dictionaries 'images', such as [{"),
    ],
)
def test_parts_in_other_forms_are_named(part, value, says, tmp_path):
    with pytest.raises(UserError) as caught:
        read_coco(str(write(tmp_path, dict(coco_content(), **{part: value}))))
    assert says in str(caught.value)


def test_captions_are_named(tmp_path):
    content = dict(images=coco_content()['images'], annotations=[dict(id=1, image_id=10, caption='a dog')])
    with pytest.raises(UserError, match="these are COCO's captions, without categories: give the file of the inst"):
        read_coco(str(write(tmp_path, content)))


@pytest.mark.parametrize(
    'name, option',
    [
        ('red light', 'classes="red light,dog"'),
        ('dog, big', "classes=\"'dog, big','dog',\""),
        ('1.50', "classes=\"'1.50','dog',\""),
        ('(light)', "classes=\"'(light)','dog',\""),
        ("dog's", 'classes=FILE, with one name per line'),
    ],
)
def test_names_are_advised_in_a_form_that_is_read(name, option, tmp_path):
    content = coco_content()
    content['categories'][0]['name'] = name
    with pytest.raises(UserError) as caught:
        read_coco(str(write(tmp_path, content)), ('cat',))
    assert str(caught.value).endswith(option)


@pytest.mark.parametrize('name', ['traffic  light', 'traffic\N{NO-BREAK SPACE}light'])
def test_spaces_in_names_are_taken_as_one(name, tmp_path, logged):
    content = coco_content()
    content['categories'][0]['name'] = name
    read_coco(str(write(tmp_path, content)), ('traffic light',))
    assert len(logged) == 1 and json.dumps(logged[0])


def test_accents_may_be_composed_otherwise(tmp_path, logged):
    content = coco_content()
    content['categories'][0]['name'] = 'cafe\N{COMBINING ACUTE ACCENT}'
    read_coco(str(write(tmp_path, content)), ('caf\N{LATIN SMALL LETTER E WITH ACUTE}',))
    assert len(logged) == 1
