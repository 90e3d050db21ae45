"""Annotation files in COCO's format: each mistake is reported in one line that names the file."""

import json

import pytest

import mae_transfer  # noqa: F401 (native ops, before MMDetection)
from mae_transfer.data.coco.file import TOLERATED_SHARE, read_coco
from mae_transfer.errors import UserError
from tests.own_data import CLASSES, annotation, coco_content


def write(folder, content):
    file = folder / 'a.json'
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def change_entry(part, change, index=1):
    """A function that applies ``change`` to one entry of a content."""

    def apply(content):
        change(content[part][index])
        return content

    return apply


def without(key):
    """A function that removes a key from a content."""
    return lambda content: {name: value for name, value in content.items() if name != key}


MISTAKES = {
    'truncated': (
        lambda content: json.dumps(content)[:-40],
        r'is not a JSON file: .*line 1 column \d+.*: is it truncated\?',
    ),
    'not text': (lambda content: '\0', r'is not a JSON file'),
    'a list': (lambda content: [content], r"is not in COCO's format: expected a dictionary of .*; found a list"),
    'no annotations': (without('annotations'), r"no list of dictionaries 'annotations' \(it has images, categories\)"),
    'no categories': (without('categories'), r"no list of dictionaries 'categories'"),
    'empty': (lambda content: dict(content, annotations=[]), r"the list 'annotations' is empty"),
    'no file_name': (
        change_entry('images', lambda e: e.pop('file_name')),
        r"1 of 3 images have no 'file_name', e.g. id 11: ",
    ),
    'no width': (
        change_entry('images', lambda e: e.pop('width')),
        r"1 of 3 images have no 'width', e.g. id 11, file_name '1.jpg': give the image's size in pixels",
    ),
    'no height': (
        change_entry('images', lambda e: e.update(height=0)),
        r'1 of 3 images have no width and height that are whole numbers above 0, e.g. id 11',
    ),
    'image twice': (
        change_entry('images', lambda e: e.update(id=10)),
        r"1 of 3 images have the 'id' of another, e.g. 10 occurs 2 times",
    ),
    'annotation twice': (
        change_entry('annotations', lambda e: e.update(id=1)),
        r"1 of 7 annotations have the 'id' of another, e.g. 1 occurs",
    ),
    'category twice': (
        change_entry('categories', lambda e: e.update(name='cow')),
        r"1 of 3 categories have the 'name' of another, e.g. 'cow'",
    ),
    'category_id': (
        change_entry('annotations', lambda e: e.update(category_id=80)),
        r"1 of 7 annotations have a category_id that 'categories' does not list, e.g. id 2, .* 80: it lists 3, 5, 7",
    ),
    'image_id': (
        change_entry('annotations', lambda e: e.update(image_id=99)),
        r"1 of 7 annotations belong to an image that 'images' does not list, e.g. id 2, image_id 99",
    ),
    'three numbers': (
        change_entry('annotations', lambda e: e.update(bbox=[1, 2, 3])),
        r'1 of 7 .* not four numbers, e.g. .*bbox \[1, 2, 3\]: ',
    ),
    'text': (
        change_entry('annotations', lambda e: e.update(bbox=['1 px', 2, 3, 4])),
        r"not four numbers, e.g. .*bbox \['1 px', 2, 3, 4\]",
    ),
    'none': (
        change_entry('annotations', lambda e: e.update(bbox=None, segmentation=None)),
        r'1 of 7 annotations have no bbox and no mask to take it from, e.g. id 2, image_id 10, bbox None',
    ),
    'corners': (
        change_entry('annotations', lambda e: e.update(bbox=[60, 50, 70, 60])),
        r"1 of 7 annotations have a box outside of the image, e.g. id 2, image_id 10, '0.jpg', bbox .*60\], "
        r'image 70 x 90: ',
    ),
    'left': (
        change_entry('annotations', lambda e: e.update(bbox=[-2.1, 5, 20, 20])),
        r'outside of the image, e.g. .*bbox \[-2.1,',
    ),
    'flat': (
        change_entry('annotations', lambda e: e.update(bbox=[5, 5, 20, 0])),
        r'1 of 7 annotations have a box without area, e.g. id 2',
    ),
    'negative': (
        change_entry('annotations', lambda e: e.update(bbox=[25, 5, -20, 9])),
        r'1 of 7 .* negative width or .* not its corners$',
    ),
    'not finite': (
        change_entry('annotations', lambda e: e.update(bbox=[float('nan'), 5, 20, 9])),
        r'or one that is not finite, e.g. id 2',
    ),
    'no mask': (
        change_entry('annotations', lambda e: e.update(segmentation=[])),
        r'1 of 6 annotations have no segmentation, .*e.g. id 2',
    ),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_is_reported_in_one_line(name, tmp_path):
    change, says = MISTAKES[name]
    file = write(tmp_path, change(coco_content()))
    with pytest.raises(UserError, match=says) as caught:
        read_coco(str(file), CLASSES, masks=True)
    line = str(caught.value)
    assert line.startswith(str(file)) and '\n' not in line and len(line) < 400


@pytest.mark.parametrize(
    'box, passes',
    [([-2, -1.5, 73, 93], True), ([-2.1, 0, 5, 5], False), ([0, 0, 72.1, 5], False), ([0, 88, 9, 4.1], False)],
)
def test_boxes_may_extend_two_pixels_beyond_the_image(box, passes, tmp_path):
    content = coco_content()
    content['annotations'][0] = annotation(1, 10, 3, tuple(box))
    file = write(tmp_path, content)
    if passes:
        read_coco(str(file))
        return
    with pytest.raises(UserError, match='outside of the image'):
        read_coco(str(file))


@pytest.mark.parametrize('boxes, passes', [(2, True), (3, False)])
def test_rare_faulty_boxes_are_left_out_with_a_warning(boxes, passes, tmp_path, monkeypatch, logged):
    """As the two boxes of zero height in COCO 2017."""
    total = 25
    assert TOLERATED_SHARE == 1e-4
    monkeypatch.setattr('mae_transfer.data.coco.file.TOLERATED_SHARE', 0.1)
    content = coco_content()
    content['annotations'] = [
        annotation(1 + i, 10, 3, (5 + i, 5, 9, 0 if i < boxes else 9), segmentation=[]) for i in range(total)
    ]
    file = write(tmp_path, content)
    if passes:
        read_coco(str(file))
        assert logged == [
            f'{file}: 2 of {total} annotations have a box without area, e.g. id 1, image_id 10 (bbox [5, 5, 9, 0], '
            'image 70 x 90): left out'
        ]
    else:
        with pytest.raises(UserError, match=f'3 of {total} annotations have a box without area'):
            read_coco(str(file))
