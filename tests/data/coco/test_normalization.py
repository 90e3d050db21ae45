"""Files in COCO's format from other tools: what has a plain meaning is taken with one line, the rest is refused."""

import copy
import re

import pytest
from pycocotools import mask as coco_mask

from mae_transfer.data.coco.file import read_coco
from mae_transfer.errors import UserError
from tests.coco_forms import ODD, as_rle, entries, ids, odd_content, segmentations, with_namesake, write
from tests.own_data import CLASSES, coco_content

#: Odd forms of three kinds of ids, each of which has its line.
OF_ALL_IDS = ('ids beyond 64 bits', 'ids as text', 'ids as floats', 'ids as names')


def plain(file):
    """What is read, with the masks as pixels and the areas left out, in the file's order."""
    names = {id_: category['name'] for id_, category in file.cats.items()}
    images = list(file.imgs)
    return [
        (
            images.index(entry['image_id']),
            names[entry['category_id']],
            tuple(entry['bbox']),
            entry['iscrowd'],
            file.annToMask(entry).tobytes(),
        )
        for entry in file.dataset['annotations']
    ]


@pytest.mark.parametrize('name', ODD)
def test_what_has_a_plain_meaning_is_taken_with_one_line(name, tmp_path, logged):
    file = write(tmp_path, odd_content(name))
    read = read_coco(str(file), masks=True)
    says = ODD[name][1]
    assert len(logged) == (0 if says is None else 3 if name in OF_ALL_IDS else 1), logged
    assert says is None or sum(bool(re.match(f'{re.escape(str(file))}: {says}', line)) for line in logged) == 1
    assert plain(read) == plain(read_coco(str(write(tmp_path, coco_content())), masks=True))
    for entry in read.dataset['annotations']:
        assert type(entry['id']) is int and entry['id'] > 0
        assert entry['area'] > 0 and all(type(value) in (int, float) for value in entry['bbox'])
    assert {type(id_) for id_ in (*read.imgs, *read.cats)} == {int}


def test_areas_are_those_of_the_masks_or_else_of_the_boxes(tmp_path, logged):
    content = coco_content()
    for entry in content['annotations']:
        entry['area'] = 0
    content['annotations'][1]['segmentation'] = []
    read = read_coco(str(write(tmp_path, content)))
    areas = [entry['area'] for entry in read.dataset['annotations']]
    assert areas[0] == coco_mask.area(read.annToRLE(read.anns[1])) and abs(areas[0] - 420) < 20
    assert areas[1] == 25 * 36
    assert [re.sub('.*json: ', '', line) for line in logged] == [
        '6 of 7 annotations have no area above 0, e.g. id 1, image_id 10, area 0: worked out from the mask',
        '1 of 7 annotations have no area above 0, e.g. id 2, image_id 10, area 0: worked out from the box',
    ]


def test_the_namesake_without_a_supercategory_goes_where_neither_is_used(tmp_path, logged):
    """A test set without annotations: predictions are written with the class's id, not with the root's."""
    content = with_namesake(coco_content())
    content['annotations'] = []
    assert {3, 5, 7} == set(read_coco(str(write(tmp_path, content)), annotated=False).cats)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32'])
def test_usual_encodings_are_read(encoding, tmp_path):
    content = coco_content()
    content['categories'][0]['name'] = 'Verkehrsampel \N{LATIN SMALL LETTER A WITH DIAERESIS}'
    assert 'Verkehrsampel ä' in str(read_coco(str(write(tmp_path, content, encoding))).cats)


def only(part, index, **changes):
    """A function that changes one entry."""
    return lambda content: [content[part][index].update(changes), content][1]


REFUSED = {
    'id of an image null': (
        only('images', 0, id=None),
        r'1 of 3 images have an id that is neither a whole number nor text, e.g. id None, .*: number them from 1',
    ),
    'id of an image true': (only('images', 0, id=True), r'1 of 3 images have an id that is neither'),
    'id of an image a fraction': (only('images', 0, id=1.5), r'e.g. id 1.5, file_name'),
    'id of a category a list': (only('categories', 0, id=[1]), r'1 of 3 categories have an id that is neither'),
    'the same id as text': (only('images', 0, id='11'), r"3 images have the 'id' of another, e.g. 11 occurs 2 times"),
    'another image among ids as names': (
        lambda content: only('annotations', 0, image_id=1)(ids(lambda old, i: f'img_{i}')(content)),
        r"1 of 7 annotations belong to an image that 'images' does not list, e.g. id 1, image_id 1: ",
    ),
    'a mask of an image that is numbered': (
        lambda content: only('annotations', 0, segmentation=[[1, 2, 3]])(ids(*[lambda old, i: f'a{old}'] * 3)(content)),
        r"1 of 6 annotations have a polygon with an odd number of coordinates, e.g. id 'a1', image_id 'a10', 3 values",
    ),
    'namesakes that are used': (
        only('categories', 1, name='cow'),
        r"categories have the 'name' of another, e.g. 'cow'",
    ),
    'name null': (
        only('categories', 1, name=None),
        r'1 of 3 categories have a name that is no text, e.g. id 3, name None',
    ),
    'name empty': (only('categories', 1, name=' '), r'1 of 3 categories have an empty name, e.g. id 3'),
    'width a fraction': (
        only('images', 0, width=70.5),
        r'1 of 3 images have no width and height that are whole .*70.5',
    ),
    'width as words': (only('images', 0, width='70 px'), r"1 of 3 images have no width and height .* width '70 px'"),
    'width of billions': (only('images', 0, width=10**9), r'1 of 3 images .* \(of fewer than 2 \*\* 31 in all\)'),
    'file_name a number': (
        only('images', 0, file_name=7),
        r'1 of 3 images have a file_name that is no text, .*name 7: name',
    ),
    'file_name with a line break': (only('images', 0, file_name='a\nb'), r"or has a line break, e.g. .*name 'a\\nb': "),
    'path instead of file_name': (
        lambda content: entries('images', lambda e, _: e.update(path=e.pop('file_name')))(content),
        r"3 of 3 images have no 'file_name', e.g. id 10: it is the path below data_prefix; path and coco_url are ",
    ),
    'iscrowd 2': (
        only('annotations', 0, iscrowd=2),
        r'1 of 7 annotations have an iscrowd that is neither 0 nor 1, .* 2: ',
    ),
    'iscrowd a list': (only('annotations', 0, iscrowd=[0]), r'1 of 7 annotations have an iscrowd that is neither'),
    'ignore as a word': (
        only('annotations', 0, ignore='maybe'),
        r"1 of 7 annotations have an ignore .* 'maybe': set 0",
    ),
    'a box as one text': (
        only('annotations', 0, bbox='[1,2,3,4]'),
        r"bbox that is not four numbers, e.g. .* '\[1,2,3,4",
    ),
    'a box of booleans': (only('annotations', 0, bbox=[True, 2, 3, 4]), r'not four numbers, e.g. .*\[True, 2, 3, 4\]'),
    'a box beyond any float': (only('annotations', 0, bbox=[10**400, 2, 3, 4]), r'not four numbers, e.g. id 1'),
    'no box, no mask': (
        only('annotations', 0, bbox=[], segmentation=[]),
        r'1 of 7 annotations have no bbox and no mask to take it from, e.g. id 1, image_id 10, bbox \[\]: bbox is',
    ),
    'boxes as shares': (
        entries('annotations', lambda e, _: e.update(bbox=[value / 100 for value in e['bbox']])),
        r'7 of 7 annotations have a box within the first pixel, as shares of the image look, .* image 70 x 90: .*: mul',
    ),
    'odd number of coordinates': (
        only('annotations', 0, segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        r'1 of 6 annotations have a polygon with an odd number of coordinates, e.g. id 1, image_id 10, 7 values: poly',
    ),
    'two points alone': (
        only('annotations', 0, segmentation=[[1, 2, 3, 4]]),
        r'1 of 6 annotations have a segmentation without area, .*: draw each object with three points or',
    ),
    'a polygon without points': (only('annotations', 0, segmentation=[[]]), r'1 of 6 .* a segmentation without area'),
    'a point thrice': (only('annotations', 0, segmentation=[[5, 5] * 3]), r'1 of 6 .* a segmentation without area'),
    'outside of the image': (
        only('annotations', 0, segmentation=[[71, 5, 80, 5, 80, 9]]),
        r'1 of 6 .* a segmentation without area',
    ),
    'far outside': (
        only('annotations', 0, segmentation=[[1, 2, 1e9, 4, 5, 6]]),
        r'1 of 6 annotations have a polygon far outside of the image, e.g. id 1, .*, x 1 to 1e\+09, y 2 to 6: poly',
    ),
    'a segmentation as text': (
        only('annotations', 0, segmentation='[[1, 2, 3, 4, 5, 6]]'),
        r'1 of 6 annotations have a segmentation that is neither polygons nor RLE',
    ),
    'points of three': (only('annotations', 0, segmentation=[[[1, 2, 3]] * 3]), r'neither polygons nor RLE'),
    'a polygon with NaN': (
        only('annotations', 0, segmentation=[[1, 2, 3, 4, 5, float('nan')]]),
        r'1 of 6 annotations have a polygon with a value that is no finite number, e.g. id 1, image_id 10, value nan: ',
    ),
    'a polygon with null': (
        only('annotations', 0, segmentation=[[1, 2, 3, 4, 5, None]]),
        r'no finite number, .*value None',
    ),
    'masks as shares': (
        segmentations(lambda polygons: [[value / 100 for value in polygon] for polygon in polygons]),
        r'6 of 6 annotations have a mask that lies elsewhere than the box, e.g. id 1, .*, mask x 0.04 to .*: not sh',
    ),
    'RLE turned': (
        as_rle(True, lambda rle: dict(rle, size=rle['size'][::-1])),
        r'4 of 6 annotations have RLE whose size is \[width, height\], e.g. id 1, image_id 10, size \[70, 90\], image',
    ),
    'RLE of half the size': (
        as_rle(True, lambda rle: dict(rle, size=[side // 2 for side in rle['size']])),
        r'6 of 6 annotations have RLE of another size than the image, e.g. id 1, .*, size \[45, 35\], image 70 x 90',
    ),
    'RLE without its last run': (
        as_rle(False, lambda rle: dict(rle, counts=rle['counts'][:-1])),
        r'6 of 6 annotations have RLE whose counts do not sum to height x width, .*, sum \d+, image 70 x 90 = 6300',
    ),
    'RLE cut short': (as_rle(True, lambda rle: dict(rle, counts=rle['counts'][:-2])), r'RLE whose counts '),
    'RLE with a negative run': (as_rle(False, lambda rle: dict(rle, counts=[-1, *rle['counts']])), r'no run lengths'),
    'RLE with letters': (as_rle(True, lambda rle: dict(rle, counts='~~')), r'RLE whose counts are no run lengths'),
    'RLE without size': (as_rle(True, lambda rle: dict(counts=rle['counts'])), r'neither polygons nor RLE'),
    'RLE of nothing': (
        as_rle(False, lambda rle: dict(rle, counts=[rle['size'][0] * rle['size'][1]])),
        r'6 of 6 annotations have a segmentation without area',
    ),
    'panoptic': (
        entries('annotations', lambda e, _: [e.pop('category_id'), e.update(segments_info=[])]),
        r"7 of 7 annotations have no 'category_id', e.g. id 1, image_id 10: this is COCO's panoptic format: give",
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_has_no_plain_meaning_is_refused_in_one_line(name, tmp_path):
    change, says = REFUSED[name]
    file = write(tmp_path, change(copy.deepcopy(coco_content())))
    with pytest.raises(UserError, match=says) as caught:
        read_coco(str(file), CLASSES, masks=True)
    line = str(caught.value)
    assert line.startswith(str(file)) and '\n' not in line and len(line) < 450


def test_segmentations_are_not_looked_at_where_no_masks_are_needed(tmp_path, logged):
    content = segmentations(lambda polygons: [[]])(coco_content())
    assert len(read_coco(str(write(tmp_path, content)), CLASSES).anns) == 7 and not logged


def test_rare_masks_without_area_are_left_out(tmp_path, monkeypatch, logged):
    """As many as COCO 2017 might have: training passes over them, both AP libraries can read them."""
    monkeypatch.setattr('mae_transfer.data.coco.masks.TOLERATED_EMPTY', 0.2)
    content = only('annotations', 0, segmentation=[[]])(coco_content())
    entry = read_coco(str(write(tmp_path, content)), CLASSES, masks=True).anns[1]
    assert entry['ignore'] == 1 and entry['segmentation'] == [[4, 6, 32, 6, 32, 36, 4, 36]]
    assert len(logged) == 1 and '1 of 6 annotations have a segmentation without area' in logged[0]


def test_few_masks_elsewhere_are_told(tmp_path, monkeypatch, logged):
    monkeypatch.setattr('mae_transfer.data.coco.agreement.TOLERATED_ELSEWHERE', 0.2)
    content = only('annotations', 0, segmentation=[[50, 60, 60, 60, 60, 70]])(coco_content())
    read_coco(str(write(tmp_path, content)), CLASSES, masks=True)
    assert len(logged) == 1 and re.search(
        r'1 of 6 annotations have a mask that lies elsewhere than the box, e.g. id 1, .*: used as they are', logged[0]
    )
