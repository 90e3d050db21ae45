import numpy as np

from mae_transfer.exploring.pictures import enlarged, with_frame, with_heat, with_lines

GREY = np.full((32, 48, 3), 100, np.uint8)


def test_small_pictures_are_enlarged_and_large_ones_stay():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = enlarged(picture, 9)
    assert large.shape == (8, 8, 3) and (large[:4, 4:] == picture[0, 1]).all()
    assert enlarged(np.zeros((600, 500, 3), np.uint8)).shape == (600, 500, 3)


def test_lines_lie_between_patches():
    found = with_lines(GREY, (2, 3))
    changed = (found != GREY).any(2)
    assert changed[16].all() and changed[:, [16, 32]].all() and changed.sum() == 48 + 2 * 31


def test_a_frame_is_around_its_patch_alone():
    changed = (with_frame(GREY, (2, 3), 4, thickness=2) != GREY).any(2)
    assert changed[16:, 16:32].sum() == 16 * 16 - 12 * 12 and changed.sum() == 16 * 16 - 12 * 12


def test_heat_is_brightest_where_it_is_largest():
    heat = np.array([[0.0, 0.1, 0.2], [0.3, 0.0, 0.0]])
    light = with_heat(GREY, heat).mean(2)
    patches = light.reshape(2, 16, 3, 16).mean((1, 3))
    assert patches.argmax() == 3 and (np.argsort(patches.ravel())[-3:] == [1, 2, 3]).all()
    assert np.isfinite(with_heat(GREY, heat * 0)).all()
