"""Tiles cover an image, and what is predicted in them is put together as if it were one prediction."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.errors import UserError
from mae_transfer.inference.objects import Mask, Objects
from mae_transfer.inference.tiles import check_tiling, join_label_maps, join_objects, tiles_of

sides = st.integers(32, 400)


@given(sides, sides, st.integers(32, 200), st.floats(0, 0.75))
def test_each_pixel_is_owned_by_one_tile_that_sees_it(height, width, side, overlap):
    owned = np.zeros((height, width), int)
    for rows, columns in tiles_of(height, width, side, overlap):
        for span, length in ((rows, height), (columns, width)):
            assert 0 <= span.start <= span.own_start <= span.own_end <= span.end <= length
            assert span.end - span.start == min(side, length)
        owned[rows.own_start : rows.own_end, columns.own_start : columns.own_end] += 1
    assert (owned == 1).all()


@given(sides, sides, st.integers(0, 100), st.floats(0, 0.75))
def test_a_tile_as_large_as_the_image_is_the_image(height, width, more, overlap):
    for side in (None, max(height, width) + more):
        ((rows, columns),) = tiles_of(height, width, side, overlap)
        assert (rows.start, rows.end, columns.start, columns.end) == (0, height, 0, width)


def seen(true_boxes, labels, tile, scores=None):
    """What a perfect detector finds in a tile: each object that is in it, cut at its borders."""
    found = []
    x1, y1, x2, y2 = tile.box
    for number, (box, label) in enumerate(zip(true_boxes, labels)):
        left, top, right, bottom = max(box[0], x1), max(box[1], y1), min(box[2], x2), min(box[3], y2)
        if right - left >= 1 and bottom - top >= 1:
            share = (right - left) * (bottom - top) / ((box[2] - box[0]) * (box[3] - box[1]))
            mask = Mask(int(top), int(left), np.ones((int(bottom - top), int(right - left)), bool))
            found.append(((left, top, right, bottom), 0.5 + 0.4 * share - 0.001 * number, label, mask))
    boxes, values, classes, masks = zip(*found) if found else ((), (), (), ())
    return Objects(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(values, np.float32), np.array(classes, int), [*masks]
    )


def joined(true_boxes, labels, height, width, side, overlap=0.25):
    tiles = tiles_of(height, width, side, overlap)
    assert len(tiles) > 1
    return join_objects([(tile, seen(true_boxes, labels, tile)) for tile in tiles], height, width)


@pytest.mark.parametrize(
    'box',
    [
        (90, 20, 115, 50),  # in the overlap of two tiles
        (70, 20, 105, 50),  # at the border of one, whole in it
        (93, 91, 118, 122),  # where four meet
        (60, 40, 180, 90),  # larger than the overlap, in three tiles
        (10, 10, 290, 240),  # in all tiles
        (0, 0, 300, 30),  # along the border of the image
        (96, 30, 98, 33),  # tiny
    ],
)
def test_an_object_across_a_seam_is_found_once(box):
    objects = joined([box], [1], 250, 300, 128)
    assert len(objects) == 1
    assert np.allclose(objects.boxes[0], box) and objects.labels.tolist() == [1]
    mask = objects.masks[0]
    assert (mask.left, mask.top, *mask.pixels.shape) == (box[0], box[1], box[3] - box[1], box[2] - box[0])
    assert mask.pixels.all()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(15, 49), st.integers(15, 49)), max_size=12))
def test_objects_that_do_not_overlap_are_all_found(cells):
    """One object in each of some cells of 50 x 50 pixels, in tiles of 96."""
    boxes = list({(x, y): (50 * x, 50 * y, 50 * x + w, 50 * y + h) for x, y, w, h in cells}.values())
    objects = joined(boxes, [0] * len(boxes), 250, 300, 128, 0.4)
    assert sorted(map(tuple, objects.boxes.astype(int).tolist())) == sorted(boxes)


def test_neighbours_of_one_class_at_a_seam_stay_two():
    boxes = [(60, 20, 110, 60), (60, 62, 110, 100), (112, 20, 150, 60)]
    assert len(joined(boxes, [0, 0, 0], 128, 300, 128)) == 3
    assert len(joined([(60, 20, 110, 60)] * 2, [0, 1], 128, 300, 128)) == 2  # of two classes, at one place


def test_objects_of_a_single_tile_are_left_as_they_are():
    (tile,) = tiles_of(50, 60, 64, 0.25)
    boxes = torch.rand(20, 4).numpy()
    objects = Objects(boxes, boxes[:, 0], np.zeros(20, int), None)
    assert join_objects([(tile, objects)], 50, 60) is objects


@given(sides, sides, st.integers(32, 200), st.floats(0, 0.75))
def test_label_maps_of_tiles_are_that_of_the_image(height, width, side, overlap):
    labels = np.random.default_rng(0).integers(0, 200, (height, width))
    parts = [
        (tile, labels[tile.rows.start : tile.rows.end, tile.columns.start : tile.columns.end])
        for tile in tiles_of(height, width, side, overlap)
    ]
    assert np.array_equal(join_label_maps(parts, height, width), labels)


@pytest.mark.parametrize('tile, overlap, words', [(31, 0, 'tile is'), (64.0, 0, 'tile is'), (64, 1, 'overlap is')])
def test_impossible_tiles(tile, overlap, words):
    with pytest.raises(UserError, match=words):
        check_tiling(tile, overlap)
