"""Files in COCO's format in the odd forms that people's tools write, all of which have a plain meaning."""

import copy
import json

import numpy as np
from pycocotools import mask as coco_mask

from tests.own_data import annotation, coco_content


def entries(part, change):
    """A function that applies ``change(entry, number)`` to all entries of a part."""

    def apply(content):
        for number, entry in enumerate(content[part]):
            change(entry, number)
        return content

    return apply


def ids(images=None, categories=None, annotations=None):
    """A function that rewrites ids, each by a function of its number (in the file's order)."""

    def apply(content):
        for part, reference, change in (('images', 'image_id', images), ('categories', 'category_id', categories)):
            if change is None:
                continue
            new = {entry['id']: change(entry['id'], number) for number, entry in enumerate(content[part])}
            for entry in content[part]:
                entry['id'] = new[entry['id']]
            for entry in content['annotations']:
                entry[reference] = new[entry[reference]]
        for number, entry in enumerate(content['annotations']):
            if annotations is not None:
                entry['id'] = annotations(entry['id'], number)
        return content

    return apply


def rle(content, entry, compressed):
    """The segmentation of an entry as RLE."""
    image = next(image for image in content['images'] if image['id'] == entry['image_id'])
    encoded = coco_mask.merge(coco_mask.frPyObjects(entry['segmentation'], image['height'], image['width']))
    if compressed:
        return dict(size=list(encoded['size']), counts=encoded['counts'].decode())
    pixels = coco_mask.decode(encoded).ravel(order='F')
    changes = np.flatnonzero(np.diff(np.r_[0, pixels])).tolist()
    return dict(size=list(encoded['size']), counts=np.diff([0, *changes, len(pixels)]).tolist())


def as_rle(compressed, change=lambda segmentation: segmentation):
    """A function that makes RLE of all polygons, and changes it."""

    def apply(content):
        for entry in content['annotations']:
            entry['segmentation'] = change(rle(content, entry, compressed))
        return content

    return apply


def segmentations(change):
    """A function that changes all segmentations."""
    return entries('annotations', lambda entry, _: entry.update(segmentation=change(entry['segmentation'])))


def pairs(polygon):
    return [polygon[i : i + 2] for i in range(0, len(polygon), 2)]


def text(value):
    return [text(part) for part in value] if isinstance(value, list) else str(value)


def with_namesake(content):
    """Roboflow's root category, which has the name of a class."""
    content['categories'] = [dict(id=0, name='dog', supercategory='none')] + [
        dict(category, supercategory='dog') for category in content['categories']
    ]
    return content


def without(key):
    return entries('annotations', lambda entry, _: entry.pop(key))


#: {name: (change of coco_content(), the line about it)}; the plain meaning of each is coco_content().
ODD = {
    'image ids from 0': (ids(images=lambda old, i: i), None),
    'category ids from 0': (ids(categories=lambda old, i: i), None),
    'annotation ids from 0': (ids(annotations=lambda old, i: i), r'1 of 7 annotations have no id .*, e.g. 0: all are'),
    'all ids from 0': (ids(*[lambda old, i: i] * 3), r'1 of 7 annotations have no id'),
    'negative annotation ids': (ids(annotations=lambda old, i: -old), r'7 of 7 annotations have no id .* e.g. -1: '),
    'ids beyond 64 bits': (
        ids(*[lambda old, i: 2**70 + i] * 3),
        r"10 of 10 ids of images \('id', 'image_id'\) are no whole numbers, e.g. 1180591620717411303424: the im",
    ),
    'ids as text': (
        ids(*[lambda old, i: str(old)] * 3),
        r"10 of 10 ids of images \('id', 'image_id'\) are no plain whole numbers, e.g. '10': taken as whole numbers",
    ),
    'ids as floats': (
        ids(*[lambda old, i: float(old)] * 3),
        r'10 of 10 ids of categories .*, e.g. 7.0: taken as whole',
    ),
    'ids as names': (
        ids(*[lambda old, i: f'img_{old}'] * 3),
        r"10 of 10 ids of images .* no whole numbers, e.g. 'img_10': the images are numbered from 1",
    ),
    'references as text': (
        entries('annotations', lambda entry, _: entry.update(image_id=str(entry['image_id']))),
        r"7 of 10 ids of images .*, e.g. '10': ",
    ),
    'no annotation ids': (without('id'), r'7 of 7 annotations have no id .*, e.g. None: all are numbered from 1'),
    'null annotation ids': (ids(annotations=lambda old, i: None), r'7 of 7 annotations have no id'),
    'sizes as text': (
        entries('images', lambda entry, _: entry.update(width=str(entry['width']), height=float(entry['height']))),
        r"6 of 6 widths and heights of images are text or have a decimal point, e.g. width '70': taken as",
    ),
    'boxes as text': (
        entries('annotations', lambda entry, _: entry.update(bbox=text(entry['bbox']))),
        r"7 of 7 annotations have a bbox with text, e.g. id 1, image_id 10, bbox \['4', '6', '28', '30'\]: taken",
    ),
    'no boxes': (without('bbox'), r'7 of 7 annotations have no bbox, e.g. id 1, .*: the box around the mask is taken'),
    'boxes of zeros': (
        entries('annotations', lambda entry, _: entry.update(bbox=[0, 0, 0, 0])),
        r'7 of 7 annotations have no bbox, e.g. id 1, image_id 10, bbox \[0, 0, 0, 0\]: the box around',
    ),
    'areas as text': (
        entries('annotations', lambda entry, _: entry.update(area=str(entry['area']))),
        r"7 of 7 annotations have an area as text, e.g. id 1, image_id 10, area '420.0': taken as numbers",
    ),
    'no areas': (
        without('area'),
        r'7 of 7 annotations have no area above 0, e.g. id 1, image_id 10: worked out from the m',
    ),
    'areas null': (entries('annotations', lambda e, _: e.update(area=None)), r'7 of 7 .* area None: worked out from'),
    'areas 0': (entries('annotations', lambda e, _: e.update(area=0)), r'7 of 7 .* area 0: worked out from the mask'),
    'areas negative': (entries('annotations', lambda e, _: e.update(area=-9.5)), r'7 of 7 .* area -9.5: worked out'),
    'areas not a number': (
        entries('annotations', lambda e, _: e.update(area=float('nan'))),
        r'7 of 7 .* area nan: worked',
    ),
    'no iscrowd': (without('iscrowd'), None),
    'iscrowd null': (
        entries('annotations', lambda e, _: e.update(iscrowd=None)),
        r'7 of 7 annotations have an iscrowd that is null, text, a boolean or a float, e.g. None: taken as 0 or 1',
    ),
    'iscrowd false': (
        entries('annotations', lambda e, _: e.update(iscrowd=False)),
        r'7 of 7 .* iscrowd .* e.g. False: ',
    ),
    'iscrowd as text': (entries('annotations', lambda e, _: e.update(iscrowd='0')), r"7 of 7 .* iscrowd .* e.g. '0': "),
    'iscrowd as a float': (
        entries('annotations', lambda e, _: e.update(iscrowd=0.0)),
        r'7 of 7 .* iscrowd .* e.g. 0.0',
    ),
    'ignore as text': (
        entries('annotations', lambda e, _: e.update(ignore='0')),
        r"7 of 7 .* ignore .* e.g. '0': taken",
    ),
    'flat polygons': (
        segmentations(lambda polygons: polygons[0]),
        r'7 of 7 annotations have a polygon that is not in a list, e.g. id 1, image_id 10: taken as one polygon',
    ),
    'a polygon of pairs': (
        segmentations(lambda polygons: pairs(polygons[0])),
        r'7 of 7 annotations have polygons of pairs, e.g. id 1, image_id 10: taken as \[x, y, x, y',
    ),
    'polygons of pairs': (segmentations(lambda polygons: [pairs(p) for p in polygons]), r'7 of 7 .* polygons of pairs'),
    'polygons as text': (segmentations(text), r'7 of 7 annotations have a segmentation with numbers as text'),
    'two points beside a polygon': (
        segmentations(lambda polygons: [[1, 2, 3, 4], *polygons, [], [5, 6]]),
        r'7 of 7 annotations have parts of polygons of fewer than three points, .*: these parts are left out',
    ),
    'a line beside a polygon': (
        segmentations(lambda polygons: [*polygons, [5, 6, 9, 6, 20, 6], [-9, -9, -3, -3, -9, -3]]),
        r'7 of 7 annotations have parts of polygons',
    ),
    'RLE compressed': (as_rle(True), None),
    'RLE uncompressed': (as_rle(False), None),
    'RLE as the text of bytes': (
        as_rle(True, lambda found: dict(found, counts=str(found['counts'].encode()))),
        r"7 of 7 annotations have RLE whose counts are Python's bytes, as text or as a list of numbers, e.g. id 1",
    ),
    'RLE in a list': (as_rle(True, lambda found: [found]), r'7 of 7 annotations have RLE in a list'),
    'RLE with floats': (
        as_rle(False, lambda found: dict(size=text(found['size']), counts=[float(n) for n in found['counts']])),
        None,
    ),
    'unused namesake': (
        with_namesake,
        r"1 of 4 categories have the name of another and no annotation, e.g. id 0, name 'dog': left out",
    ),
    'names with spaces': (
        entries('categories', lambda entry, _: entry.update(name=f' {entry["name"]}\n')),
        r"3 of 3 categories have a name that is a number, has spaces .*, e.g. ' traffic light\\n': taken as plain",
    ),
    'keys in another case': (
        lambda content: {key.title(): part for key, part in content.items()},
        r"3 of 3 keys are written in another way, e.g. 'Images': taken as 'images'",
    ),
}


def crowd_beside(content):
    entry = annotation(20, 10, 3, (35, 60, 30, 20), iscrowd=1)
    return dict(content, annotations=[*content['annotations'], dict(entry, segmentation=rle(content, entry, False))])


def tiny_objects(content):
    boxes = [(1, 1, 1, 1), (60, 60, 2, 1), (5, 60, 3, 3), (1.25, 50.5, 2.5, 1.75)]
    more = [
        annotation(20 + i, 10, 7, (x, y, w, h), segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]], area=w * h)
        for i, (x, y, w, h) in enumerate(boxes)
    ]
    return dict(content, annotations=[*content['annotations'], *more])


def one_category(content):
    chosen = [dict(entry, category_id=3) for entry in content['annotations']]
    return dict(content, annotations=chosen, categories=[dict(id=3, name='dog')])


#: {name: change of coco_content()}: contents in the plain form that are rare.
RARE = {
    'plain': lambda content: content,
    'crowd beside objects': crowd_beside,
    'tiny objects': tiny_objects,
    'one category': one_category,
    'an image without objects': lambda content: dict(
        content, images=[*content['images'], dict(id=1, file_name='empty.jpg', width=103, height=61)]
    ),
    'two parts': segmentations(lambda polygons: [*polygons, [33, 22, 33, 26, 38, 26]]),
    'over the edge': lambda content: dict(
        content, annotations=[*content['annotations'], annotation(20, 11, 3, (-1.5, 40, 20, 22.5))]
    ),
}


def odd_content(name):
    """A fresh content of ``ODD``."""
    return ODD[name][0](copy.deepcopy(coco_content()))


def write(folder, content, encoding='utf-8'):
    """Write a content as JSON; a text as it is."""
    file = folder / 'a.json'
    file.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode(encoding))
    return file
