"""Pictures show what is predicted where it is."""

import numpy as np

from mae_transfer.inference.objects import Mask, Objects
from mae_transfer.inference.overlays import draw_labels, draw_objects

COLOURS = [(255, 0, 0), (0, 0, 255)]


def test_masks_and_boxes_are_drawn_in_the_colour_of_their_class():
    picture = np.zeros((80, 100, 3), np.uint8)
    masks = [Mask(30, 10, np.ones((20, 20), bool)), Mask(0, 0, np.zeros((0, 0), bool))]
    boxes = np.array([[10, 30, 30, 50], [60, 40, 90, 70]], np.float32)
    objects = Objects(boxes, np.array([0.9, 0.5], np.float32), np.array([0, 1]), masks)
    drawn = np.asarray(draw_objects(picture, objects, ('dog', 'cat'), COLOURS))
    assert drawn.shape == picture.shape and not picture.any()
    assert drawn[40, 20].tolist() == [114, 0, 0] and drawn[60, 75].tolist() == [0, 0, 0]
    assert drawn[30, 20].tolist() == [255, 0, 0] and drawn[70, 75].tolist() == [0, 0, 255]
    without = np.asarray(draw_objects(picture, objects, ('dog', 'cat'), COLOURS, scores=False))
    assert (without != 0).any(2).sum() < (drawn != 0).any(2).sum()  # the labels are shorter
    assert not draw_objects(picture, objects.select(np.array([], int)), (), ()).getbbox()


def test_label_maps_are_drawn_over_the_image_with_a_legend_below():
    picture = np.full((40, 60, 3), 100, np.uint8)
    labels = np.zeros((40, 60), int)
    labels[:, 30:] = 2  # no class
    drawn = np.asarray(draw_labels(picture, labels, ('road', 'field'), COLOURS))
    assert drawn.shape[0] > 40 and drawn.shape[1] >= 60
    assert drawn[10, 10].tolist() == [169, 55, 55] and drawn[10, 50].tolist() == [100, 100, 100]
    assert (drawn[40:] == COLOURS[0]).all(2).any() and not (drawn[40:] == COLOURS[1]).all(2).any()


def test_the_text_of_an_object_at_the_right_border_can_be_read():
    picture, scores = np.zeros((80, 200, 3), np.uint8), np.array([0.9], np.float32)
    areas = []
    for left in (20, 190):
        objects = Objects(np.array([[left, 40, left + 9, 60]], np.float32), scores, np.array([0]), None)
        drawn = np.asarray(draw_objects(picture, objects, ('traffic light',), COLOURS))
        areas.append((drawn[:38] != 0).any(2).sum())
    assert areas[0] == areas[1] > 500
