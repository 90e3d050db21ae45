"""Annotation files that are another tool's are named, with what to do."""

import gc
import gzip
import json

import pytest

from mae_transfer.data.coco.file import read_coco
from mae_transfer.data.coco.json_files import read_json, without_collection
from mae_transfer.errors import UserError
from tests.own_data import coco_content

REGION = dict(shape_attributes=dict(name='rect', x=1, y=2, width=3, height=4), region_attributes=dict(Class='dog'))
VIA_IMAGE = {'a.jpg329468': dict(filename='a.jpg', size=329468, regions=[REGION], file_attributes={})}
TASK = dict(id=1, data=dict(image='/data/upload/1/a.jpg'), annotations=[dict(id=1, result=[])], predictions=[])
PREDICTION = dict(image_id=1, category_id=1, bbox=[1, 2, 3, 4], score=0.5)
BY_COCO = 'export the annotations as COCO'


@pytest.mark.parametrize(
    'name, content, says',
    [
        ('a.json', VIA_IMAGE, f'it is a project of the VGG Image Annotator (VIA): {BY_COCO}'),
        ('a.json', {'_via_settings': {}, '_via_img_metadata': VIA_IMAGE}, 'VGG Image Annotator (VIA)'),
        ('a.json', dict(project={}, config={}, attribute={}, file={}, metadata={}, view={}), 'VGG Image Annotator'),
        ('a.json', [TASK], f"it is a list of 1 tasks in Label Studio's own JSON: {BY_COCO}"),
        ('a.json', [dict(image='a.jpg', id=1, label=[], annotator=1)], "Label Studio's own JSON"),
        ('a.json', TASK, "it is a task of Label Studio's own JSON"),
        (
            'a.json',
            dict(version='5.5.0', flags={}, shapes=[], imagePath='a.jpg', imageHeight=4, imageWidth=5),
            "it is labelme's file of one image: convert the folder to COCO, e.g. by labelme2coco",
        ),
        (
            'a.json',
            [PREDICTION] * 3,
            'it is a list of 3 predictions (COCO results), which have no images and categories',
        ),
        ('a.json', coco_content()['annotations'], "it is a bare list of 7 annotations: put it under 'annotations'"),
        ('a.json', [dict(image='a.jpg', annotations=[])], "it is Create ML's list of 1 images"),
        ('a.json', dict(info={}, categories={}, items=[]), "it is Datumaro's JSON"),
        (
            'a.json',
            dict(description='', size=dict(height=1, width=2), objects=[]),
            "it is Supervisely's file of one image",
        ),
        ('a.json', [1], 'expected a dictionary of images, annotations and categories; found a list'),
        ('data.yaml', b'train: images/train\nnames: [dog]\n', 'is YAML, as the list of a data set for YOLO: convert'),
        ('a.txt', b'0 .5 .5 .2 .2\n', 'is a text file, as labels for YOLO are: convert'),
        ('a.csv', b'image,label\n', 'is a table: convert'),
        ('a.xml', b'<?xml version="1.0"?><annotations/>', 'is XML, as of Pascal VOC or CVAT'),
        ('a.json', b'<annotation></annotation>', 'is XML, as of Pascal VOC or CVAT'),
        ('a.json.gz', gzip.compress(b'{}', mtime=0), 'is a gzip archive: unpack it'),
        ('a.zip', b'PK\x03\x04 and more', 'is a zip archive: unpack it'),
        ('a.json', b'\xff\xd8\xff\xe0', 'is a photo: set the annotation file'),
        ('a.json', b'', 'is empty (0 bytes)'),
        ('a.json', b'{"images": [{"file_name": "caf\xe9.jpg"}]}', 'byte 30 is not UTF-8: save it as UTF-8'),
        ('a.json', b'{"image_id": 1}\n{"image_id": 2}\n', 'after its first value, line 2 has another'),
        ('a.json', b'[' * 100_000, 'it is nested too deeply'),
        ('a.json', {'Images': [], 'IMAGES': []}, "'Images', 'IMAGES' are the same part of the file: keep one"),
    ],
)
def test_the_tool_is_named(name, content, says, tmp_path):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(UserError) as caught:
        read_coco(str(file))
    line = str(caught.value)
    assert line.startswith(str(file)) and says in line and '\n' not in line
    assert 'classes' not in line


@pytest.mark.parametrize('content', [dict(info={}), dict(annotations=[])])
def test_another_dictionary_lists_its_parts(content, tmp_path):
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"no list of dictionaries 'images' \(it has {next(iter(content))}\)$"):
        read_coco(str(file))


@pytest.mark.parametrize(
    'change', [lambda text: text[:-1] + ',}', lambda text: text.replace('"', "'"), '// mine\n{}'.format]
)
def test_what_is_nearly_json_is_not_called_truncated(change, tmp_path):
    file = tmp_path / 'a.json'
    file.write_text(change(json.dumps(coco_content())))
    with pytest.raises(UserError, match='is not a JSON file: .*: JSON has texts in double quotes, and no comments'):
        read_coco(str(file))


@pytest.mark.parametrize('was_on', [True, False])
def test_the_search_for_cycles_is_as_it_was_after_reading(was_on, tmp_path):
    (tmp_path / 'a.json').write_text('{')
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(UserError), without_collection():
            assert not gc.isenabled()
            read_json('a.json', str(tmp_path / 'a.json'))
        assert gc.isenabled() == was_on
    finally:
        gc.enable()
