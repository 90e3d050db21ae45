"""Results have the names of their images, each its own, below the folder of results."""

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.inference.photos import output_names

parts = st.sampled_from(['..', 'a', 'b.c', 'd.jpg', 'd.png', 'd', 'd.png.jpg', '_', 'é'])
names = st.lists(parts, min_size=1, max_size=3).map('/'.join).filter(lambda name: not name.endswith('..'))


@given(st.lists(names, unique=True, max_size=12))
def test_no_two_images_have_one_name_and_none_leaves_the_folder(images):
    found = output_names(images)
    assert len(set(found)) == len(images)
    assert not any('..' in PurePosixPath(name).parts or name.startswith('/') for name in found)


def test_suffixes_are_left_out_where_nothing_else_has_the_name():
    assert output_names(['a/x.jpg', 'b/x.jpg', 'y.png', 'y.tif', '/abs/z.png', '../w.png']) == [
        *('a/x', 'b/x', 'y.png', 'y.tif', '_/abs/z', '_/w')
    ]
