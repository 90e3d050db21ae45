"""What is written beside the objects of a picture."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mae_transfer.data.label_maps.palette import distinct_colours
from mae_transfer.inference.objects import Objects
from mae_transfer.reporting.marked_objects import CROWD, FALSE, MISSED, RIGHT, draw_marked, texts

CLASSES = ('dog', 'cat')


def objects(*entries):
    """Squares at the corner of an image, each (side, label)."""
    boxes = np.array([(0, 0, side, side) for side, _ in entries], np.float32)
    return Objects(boxes, np.full(len(entries), 0.5, np.float32), np.array([label for _, label in entries]), None)


def test_few_objects_have_their_names():
    found = texts(objects((3, 0), (2, 1), (4, 1), (5, 0)), np.array([RIGHT, MISSED, FALSE, CROWD]), CLASSES)
    assert found == ['dog', 'missed: cat', 'false: cat', 'crowd: dog']


def test_of_many_the_largest_of_each_class_and_state():
    many = objects(*((side, 0) for side in range(1, 10)), (20, 1), (30, 1))
    states = np.array([MISSED] * 6 + [RIGHT] * 5)
    expected = ['!'] * 5 + ['missed: dog'] + ['', '', 'dog', '', 'cat']
    assert texts(many, states, CLASSES) == expected


@pytest.mark.parametrize('scale', [1.0, 2.0, 0.5])
def test_boxes_and_masks_are_where_they_are_in_the_scaled_picture(scale):
    side = round(40 * scale)
    pixels = np.zeros((40, 40), np.uint8, order='F')
    pixels[20:40, 20:40] = 1
    one = Objects(np.array([[20, 20, 40, 40]], np.float32), np.ones(1, np.float32), np.array([1]), None)
    blank = np.zeros((side, side, 3), np.uint8)
    drawn = np.asarray(
        draw_marked(blank, one, np.array([RIGHT]), CLASSES, [coco_mask.encode(pixels)], scale, scores=False)
    )
    colour = np.array(distinct_colours(2)[1])
    inner, corner = round(30 * scale), round(20 * scale)
    assert np.abs(drawn[inner, inner] - 0.45 * colour).max() <= 1
    assert (drawn[side - 2, corner] == colour).all() and not drawn[side - 2, : corner - 1].any()
