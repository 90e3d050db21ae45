"""Images and their label maps are found by their names, whatever their suffixes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mae_transfer.data.label_maps.pairs import files_below, find_pairs
from mae_transfer.errors import UserError


@pytest.fixture(autouse=True)
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.data.label_maps.pairs.print_log', lambda line, **settings: lines.append(line))
    return lines


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def pairs(root: Path, labels: str | None = 'labels', **settings) -> list[tuple[str, str | None]]:
    found = find_pairs(str(root / 'images'), labels and str(root / labels), **settings)
    return [
        (os.path.relpath(pair.image, root / 'images'), pair.labels and os.path.relpath(pair.labels, root / labels))
        for pair in found
    ]


def test_suffixes_may_be_mixed_and_in_capitals(tmp_path):
    touch(tmp_path / 'images', 'a.jpg', 'b.JPG', 'c.jpeg', 'd.png', 'e.TIF', 'sub/a.webp', 'f.g.bmp')
    touch(tmp_path / 'labels', 'a.png', 'b.png', 'c.PNG', 'd.tif', 'e.gif', 'sub/a.bmp', 'f.g.tiff')
    assert pairs(tmp_path) == [
        *[('a.jpg', 'a.png'), ('b.JPG', 'b.png'), ('c.jpeg', 'c.PNG'), ('d.png', 'd.tif'), ('e.TIF', 'e.gif')],
        *[('f.g.bmp', 'f.g.tiff'), ('sub/a.webp', 'sub/a.bmp')],
    ]


@pytest.mark.parametrize(
    'image, labels, settings',
    [
        ('a.jpg', 'a_mask.png', dict(seg_map_suffix='_mask.png')),
        ('a.jpg', 'a_mask.PNG', dict(seg_map_suffix='_mask.png')),
        ('a_leftImg8bit.png', 'a_gtFine.png', dict(img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine.png')),
        ('a.jpg', 'a.png', dict(img_suffix='.jpg', seg_map_suffix='.png')),
        ('a.jpg', 'a.png', dict(img_suffix='*.jpg', seg_map_suffix='*.png')),
        ('a.jpg', 'a.png', dict(img_suffix=['.png', '.jpg'], seg_map_suffix=('.png',))),
    ],
)
def test_names_may_have_ends_of_their_own(image, labels, settings, tmp_path):
    touch(tmp_path / 'images', image)
    touch(tmp_path / 'labels', labels)
    assert pairs(tmp_path, **settings) == [(image, labels)]


def test_a_suffix_restricts_the_images(tmp_path, said):
    touch(tmp_path / 'images', 'a.jpg', 'a.png')
    touch(tmp_path / 'labels', 'a.png')
    assert pairs(tmp_path, img_suffix='.jpg') == [('a.jpg', 'a.png')] and not said


def test_images_and_label_maps_may_share_a_folder(tmp_path):
    touch(tmp_path / 'images', 'a.jpg', 'a_mask.png', 'b.png', 'b_mask.png')
    assert pairs(tmp_path, 'images', seg_map_suffix='_mask.png') == [('a.jpg', 'a_mask.png'), ('b.png', 'b_mask.png')]


def test_hidden_files_are_passed_over_and_other_files_named(tmp_path, said):
    touch(tmp_path / 'images', 'a.jpg', '._a.jpg', '.ipynb_checkpoints/b.jpg', '.DS_Store', 'a.xml', 'notes')
    touch(tmp_path / 'labels', 'a.png', '._a.png', '.cache/c.png')
    assert pairs(tmp_path) == [('a.jpg', 'a.png')]
    (line,) = said
    assert line.endswith(
        '/images: 2 files are passed over, as their names do not end as those of images do: .xml, no suffix, e.g. a.xml'
    )


def test_each_folder_is_searched_once(tmp_path):
    touch(tmp_path, 'a/one.png', 'b/two.png')
    (tmp_path / 'a/up').symlink_to('..')
    (tmp_path / 'b/up').symlink_to('..')
    (tmp_path / 'linked').symlink_to('a')
    assert len(list(files_below(str(tmp_path)))) == 2
    (tmp_path / 'elsewhere').symlink_to(tmp_path / 'a')
    assert sorted(files_below(str(tmp_path / 'elsewhere'))) == ['one.png', 'up/b/two.png']


@pytest.mark.parametrize(
    'images, labels, says',
    [
        (
            ['a.jpg', 'b.jpg'],
            ['a.png'],
            'images: 1 of 2 images have no label map *.png, *.tif, *.tiff, *.bmp, *.gif in {root}/labels, e.g. '
            '{root}/images/b.jpg: give each image a label map of the same name, or set how their names end',
        ),
        (['a.jpg'], ['a.png', 'b.png'], 'labels: 1 of 2 label maps have no image '),
        (['a.jpg'], ['a.png', 'b.png'], '{root}/labels/b.png: remove them, or give each image a label map'),
        (['a.jpg', 'b.jpg'], ['a_mask.png', 'b_mask.png'], ': set seg_map_suffix=_mask.png'),
        (
            ['1.jpg', '10.jpg'],
            ['1_color.png', '10_color.png', '1_labelIds.png', '10_labelIds.png'],
            ': set seg_map_suffix=_color.png or _labelIds.png',
        ),
        (
            ['a.jpg', 'a.png', 'b.jpg', 'b.JPG'],
            ['a.png', 'b.png'],
            'images: 2 names stand for several images each, e.g. {root}/images/a.jpg, {root}/images/a.png: leave '
            "one of them, or set the data set's img_suffix, e.g. img_suffix=.jpg",
        ),
        (['a.jpg'], ['a.png', 'a.tif'], 'labels: 1 names stand for several label maps each, e.g. {root}/labels/a.png'),
        (['a.txt'], ['a.png'], 'images contains no image *.jpg, *.jpeg,'),
        (['._a.jpg'], ['a.png'], 'images contains no image *.jpg, *.jpeg,'),
    ],
)
def test_files_that_do_not_pair_are_refused(images, labels, says, tmp_path):
    touch(tmp_path / 'images', *images)
    touch(tmp_path / 'labels', *labels)
    with pytest.raises(UserError) as caught:
        pairs(tmp_path)
    assert says.format(root=tmp_path) in str(caught.value) and '\n' not in str(caught.value)


def test_the_advised_ending_works(tmp_path):
    touch(tmp_path / 'images', 'a.jpg', 'b.jpg')
    touch(tmp_path / 'labels', 'a_mask.png', 'b_mask.png')
    with pytest.raises(UserError) as caught:
        pairs(tmp_path)
    advised = str(caught.value).rpartition('seg_map_suffix=')[2]
    assert len(pairs(tmp_path, seg_map_suffix=advised)) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path):
    touch(tmp_path / 'images', 'a.jpg')
    with pytest.raises(UserError, match='the folder of the label maps, .*/labels, does not exist: set data_root'):
        pairs(tmp_path)


def test_there_may_be_no_label_maps(tmp_path):
    touch(tmp_path / 'images', 'a.jpg')
    assert pairs(tmp_path, None) == [('a.jpg', None)]


@pytest.mark.parametrize(
    'content', [b'c\nsub/a\n', b'c.jpg\r\nsub/a.PNG\r\n\r\n', b'\xef\xbb\xbfc\nsub\\a.PNG', b'  c  \n\tsub/a']
)
def test_a_list_gives_names_in_its_order(content, tmp_path):
    touch(tmp_path / 'images', 'a.jpg', 'c.jpg', 'sub/a.PNG', 'without.jpg')
    touch(tmp_path / 'labels', 'a.png', 'c.png', 'sub/a.png', 'alone.png')
    (tmp_path / 'list.txt').write_bytes(content)
    found = pairs(tmp_path, list_file=str(tmp_path / 'list.txt'))
    assert found == [('c.jpg', 'c.png'), ('sub/a.PNG', 'sub/a.png')]


@pytest.mark.parametrize(
    'content, says',
    [
        (
            b'a\nb\n',
            "list.txt: 1 of 2 names have no file among the images *.jpg, *.jpeg, .* in .*/images, e.g. 'b': give",
        ),
        (b'a\nlonely', "list.txt: 1 of 2 names have no file among the label maps .* e.g. 'lonely'"),
        (b'\n', 'list file .*list.txt names no image: give one name per line'),
        (b'\xff\xfea\0', 'list file .*list.txt cannot be read as UTF-8 text: '),
        (None, 'list file .*list.txt cannot be read as UTF-8 text: .*No such file'),
    ],
)
def test_a_list_that_names_what_is_not_there_is_refused(content, says, tmp_path):
    touch(tmp_path / 'images', 'a.jpg', 'lonely.jpg')
    touch(tmp_path / 'labels', 'a.png')
    if content is not None:
        (tmp_path / 'list.txt').write_bytes(content)
    with pytest.raises(UserError, match=says.replace('*.', r'\*.')):
        pairs(tmp_path, list_file=str(tmp_path / 'list.txt'))


@pytest.mark.parametrize('suffix', ['.jpg', '.webp', '.npy'])
def test_label_maps_in_other_formats_are_named(suffix, tmp_path):
    touch(tmp_path / 'images', 'a.jpg')
    touch(tmp_path / 'labels', f'a{suffix}')
    with pytest.raises(UserError, match=f'labels, e.g. .*a.jpg: {suffix} is no format of label maps: save them as PNG'):
        pairs(tmp_path)


def test_repeated_names_in_a_list_are_told(tmp_path, said):
    touch(tmp_path / 'images', 'a.jpg', 'b.jpg')
    touch(tmp_path / 'labels', 'a.png', 'b.png')
    (tmp_path / 'list.txt').write_text('a\nb\na.jpg\n')
    assert len(pairs(tmp_path, list_file=str(tmp_path / 'list.txt'))) == 3
    assert [line.split(': ')[1] for line in said] == ['1 of 3 names repeat another']


@pytest.mark.parametrize('suffix', [5, [], [None], '*'])
def test_ends_that_are_no_text_are_refused(suffix, tmp_path):
    touch(tmp_path / 'images', 'a.jpg')
    with pytest.raises(UserError, match='img_suffix and seg_map_suffix are how names end, e.g. _mask.png; found'):
        pairs(tmp_path, img_suffix=suffix)
