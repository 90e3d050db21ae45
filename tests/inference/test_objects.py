"""Masks are kept small, and encoded as COCO's own library encodes them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mae_transfer.inference.objects import Mask, union


@st.composite
def placed(draw):
    """Pixels, their place, and the size of an image that holds them."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    top, left = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    density = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    pixels = np.random.default_rng(draw(st.integers(0, 999))).random((height, width)) < density
    return pixels, top, left, top + height + draw(st.integers(0, 4)), left + width + draw(st.integers(0, 4))


def whole(pixels, top, left, height, width):
    image = np.zeros((height, width), np.uint8)
    image[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return image


@given(placed())
def test_the_encoding_is_that_of_the_whole_image(case):
    pixels, top, left, height, width = case
    expected = coco_mask.encode(np.asfortranarray(whole(*case)))
    for mask in (Mask(top, left, pixels), Mask.of(pixels, top, left)):
        encoded = mask.encoded(height, width)
        assert (encoded['size'], encoded['counts'].encode()) == ([height, width], expected['counts'])


@given(placed(), placed())
def test_the_union_has_the_pixels_of_both(one, other):
    height, width = max(one[3], other[3]), max(one[4], other[4])
    masks = [Mask.of(*case[:3]) for case in (one, other)]
    both = union(masks)
    expected = whole(*one[:3], height, width) | whole(*other[:3], height, width)
    assert np.array_equal(whole(both.pixels, both.top, both.left, height, width), expected)
