"""Which objects of a COCO file are left to learn from or to evaluate: one line, a warning, or an error."""

import pytest

import mae_transfer  # noqa: F401 (native ops, before MMDetection)
from mae_transfer.errors import UserError
from tests.own_data import annotation, coco_content


def all_(**changes):
    return lambda content: [entry.update(changes) for entry in content['annotations']]


def one_of_each(content):
    """An object for each reason to be left out."""
    content['annotations'] += [
        annotation(20, 10, 3, (1, 1, 0.5, 9)),
        annotation(21, 10, 3, (1, 1, 9, 9), iscrowd=1),
        annotation(22, 10, 3, (1, 1, 9, 9), iscrowd=1),
        annotation(23, 10, 3, (1, 1, 9, 9), ignore=1),
        annotation(24, 12, 7, (1, 1, 9, 9), ignore=0),
    ]
    content['images'].append(dict(id=1, file_name='empty.jpg', width=103, height=61))


@pytest.mark.parametrize(
    'change, settings, line',
    [
        (None, {}, '6 of 7 objects in 3 of 3 images are learnt from; left out: 1 of other classes'),
        (
            one_of_each,
            dict(filter_cfg=dict(filter_empty_gt=True)),
            '7 of 12 objects in 3 of 4 images are learnt from; left out: 1 of other classes, 1 marked ignore=1, 1 '
            'smaller than a pixel, 2 crowd (iscrowd=1)',
        ),
        (
            None,
            dict(filter_cfg=dict(min_size=64)),
            '4 of 7 objects in 2 of 3 images are learnt from; left out: 1 of other classes, 2 in images that '
            'filter_cfg leaves out',
        ),
        (
            one_of_each,
            dict(test_mode=True),
            '9 of 12 objects in 4 of 4 images are evaluated; left out: 1 of other classes, 2 crowd (iscrowd=1)',
        ),
        (all_(area=0), {}, '6 of 7 objects in 3 of 3 images are learnt from; left out: 1 of other classes'),
    ],
)
def test_what_is_left_is_logged(change, settings, line, coco_images, logged):
    """It agrees with the objects that MMDetection hands out."""
    content = coco_content()
    if change:
        change(content)
    dataset = coco_images(content, **settings)
    assert [text.split('a.json: ')[1] for text in logged if 'images are' in text] == [line]
    flags = [i['ignore_flag'] for entry in map(dataset.get_data_info, range(len(dataset))) for i in entry['instances']]
    if not settings.get('test_mode'):
        assert flags.count(0) == int(line.split()[0])


@pytest.mark.parametrize('test_mode', [False, True])
def test_a_class_without_objects_is_told(test_mode, coco_images, logged):
    content = coco_content()
    content['annotations'] = [entry for entry in content['annotations'] if entry['category_id'] != 3]
    coco_images(content, test_mode=test_mode)
    told = 'to evaluate, and are not in the mean' if test_mode else 'to learn from'
    assert [text.split('a.json: ')[1] for text in logged][1:] == [f'1 of 2 classes have no object {told}: dog']


SMALL = dict(filter_cfg=dict(filter_empty_gt=True, min_size=100))


@pytest.mark.parametrize(
    'change, settings, says',
    [
        (
            all_(iscrowd=1),
            {},
            'none of its 7 objects is learnt from; left out: 1 of other classes, 6 crowd (iscrowd=1): a crowd is '
            'several objects in one region, and not learnt: set iscrowd to 0',
        ),
        (
            all_(iscrowd=1),
            dict(test_mode=True),
            'none of its 7 objects is evaluated; left out: 1 of other classes, 6 crowd',
        ),
        (all_(ignore=1), {}, '1 of other classes, 6 marked ignore=1: set ignore to 0 where it is an object'),
        (
            all_(bbox=[5, 5, 0.9, 9], segmentation=[[5, 5, 5.9, 5, 5, 14]]),
            {},
            '6 smaller than a pixel: bbox is [left, top',
        ),
        (all_(category_id=5), {}, '7 of other classes: choose classes that the annotations have, by classes=...'),
        (lambda content: None, SMALL, "6 in images that filter_cfg leaves out: set the data set's filter_cfg.min_size"),
        (all_(bbox=[0.1, 0.1, 0.5, 0.5]), {}, 'as shares of the image look'),
    ],
)
def test_a_data_set_without_objects_is_refused(change, settings, says, coco_images):
    content = coco_content()
    change(content)
    with pytest.raises(UserError) as caught:
        coco_images(content, **settings)
    assert says in str(caught.value) and '\n' not in str(caught.value)
