"""Photos from every kind of source: which ones, which are held out, and how unreadable ones are skipped."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from mae_transfer.data import Photos
from mae_transfer.errors import UserError
from tests.helpers import photo_folder, save_photo


# --- sources ----------------------------------------------------------------------------------------------------------
def train_and_val(source: Path, **settings) -> list[str]:
    train, val = (Photos(str(source), split, **settings) for split in ('train', 'val'))
    return sorted([*train.names, *val.names])


def test_a_folder_tree_is_searched_at_any_depth(tmp_path):
    names = ['a.jpg', 'one/b.PNG', 'one/two/c.jpeg', 'one/two/d e.webp']
    for name in names:
        save_photo(tmp_path / name)
    (tmp_path / 'one' / 'notes.txt').write_text('no photo')
    assert train_and_val(tmp_path) == sorted(names)


def test_linked_folders_are_searched(tmp_path):
    photo_folder(tmp_path / 'elsewhere', 2)
    (tmp_path / 'photos').mkdir()
    os.symlink(tmp_path / 'elsewhere', tmp_path / 'photos' / 'linked')
    assert train_and_val(tmp_path / 'photos') == ['linked/photo0.png', 'linked/photo1.png']


def test_in_imagenet_s_layout_the_folders_are_the_splits(tmp_path):
    for name in ('train/n01/a.jpg', 'train/n02/b.jpg', 'val/n01/c.jpg'):
        save_photo(tmp_path / name)
    train, val = Photos(str(tmp_path), 'train'), Photos(str(tmp_path), 'val')
    assert [train.name(index) for index in range(2)] == train.names == ['n01/a.jpg', 'n02/b.jpg']
    assert [val.name(index) for index in range(len(val))] == ['n01/c.jpg']
    assert val.root == tmp_path / 'val'
    assert val[0]['inputs'].shape == (3, 224, 224)


@pytest.mark.parametrize(
    'line, name',
    [
        ('a.jpg', 'a.jpg'),
        ('n01/a.JPEG 17', 'n01/a.JPEG'),
        ('my photos/a b.png', 'my photos/a b.png'),
        ('my photos/a b.png 3', 'my photos/a b.png'),
        ('  a.jpg\t4  ', 'a.jpg'),
        ('a.jpg 3 5 8', 'a.jpg'),
        ('a.jpg copy.jpg 1', 'a.jpg copy.jpg'),
        ('without_suffix 5', 'without_suffix'),
    ],
)
def test_a_line_of_a_list_file_begins_with_a_path(tmp_path, line, name):
    (tmp_path / 'list.txt').write_text(f'other.jpg 0\n\n{line}\n')
    save_photo(tmp_path / 'other.jpg')
    assert set(train_and_val(tmp_path / 'list.txt')) == {'other.jpg', name}


def test_paths_of_a_list_file_are_relative_to_it(tmp_path):
    save_photo(tmp_path / 'sub' / 'a.png')
    save_photo(tmp_path / 'sub' / 'b.png')
    (tmp_path / 'list.txt').write_text('sub/a.png 0\nsub/b.png 1\n')
    assert Photos(str(tmp_path / 'list.txt'), img_size=8)[0]['skipped'] == []


# --- held out ---------------------------------------------------------------------------------------------------------
def listed(folder: Path, names: list[str], file: str = 'list.txt') -> str:
    """A list file of photos; only the first is there."""
    save_photo(folder / names[0], size=(2, 2))
    (folder / file).write_text('\n'.join(names))
    return str(folder / file)


@pytest.mark.parametrize(
    'count, share, held', [(2, 0.02, 1), (10, 0.02, 1), (100, 0.02, 2), (100, 0.3, 30), (5, 0.9, 4)]
)
def test_train_and_val_divide_the_photos(tmp_path, count, share, held):
    file = listed(tmp_path, [f'{i}.jpg' for i in range(count)])
    train, val = (Photos(file, split, hold_out=share).names for split in ('train', 'val'))
    assert len(val) == held and not set(train) & set(val) and len(train) + len(val) == count


def test_held_out_photos_are_chosen_by_path_and_not_by_position(tmp_path):
    names = [f'{i:03d}.jpg' for i in range(100)]
    val = Photos(listed(tmp_path, names), 'val', hold_out=0.1).names
    assert val == Photos(listed(tmp_path, names[::-1], 'reversed.txt'), 'val', hold_out=0.1).names[::-1]
    assert val not in (names[:10], names[-10:])


def test_a_photo_that_is_listed_twice_is_on_one_side(tmp_path):
    file = listed(tmp_path, [f'{i % 20}.jpg' for i in range(40)])
    for share in (0.02, 0.1, 0.3):
        train, val = (Photos(file, split, hold_out=share).names for split in ('train', 'val'))
        assert not set(train) & set(val) and len(train) + len(val) == 40 and len(val) >= 40 * share


def test_a_larger_share_holds_out_the_same_photos_and_more(tmp_path):
    file = listed(tmp_path, [f'{i}.jpg' for i in range(100)])
    few, many = (set(Photos(file, 'val', hold_out=share).names) for share in (0.1, 0.3))
    assert few < many


def test_all_photos_can_be_held_out(tmp_path):
    assert len(Photos(str(photo_folder(tmp_path, 3)), 'val', hold_out=1)) == 3


def test_with_hold_out_zero_all_photos_are_for_training_and_validation_is_refused(tmp_path):
    for name in 'abc':
        Image.new('RGB', (16, 16)).save(tmp_path / f'{name}.png')
    assert len(Photos(str(tmp_path), 'train', 8, hold_out=0.0)) == 3
    with pytest.raises(UserError, match='hold_out=0 leaves no photo'):
        Photos(str(tmp_path), 'val', 8, hold_out=0.0)


# --- unreadable photos ------------------------------------------------------------------------------------------------
def damage(path: Path, how: str) -> None:
    save_photo(path)
    raw = path.read_bytes()
    if how == 'truncated':
        path.write_bytes(raw[: len(raw) // 2])
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'text':
        path.write_text('<html>404</html>')
    elif how == 'missing':
        path.unlink()
        path.symlink_to('nowhere.jpg')


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('how', ['truncated', 'empty', 'text', 'missing'])
def test_an_unreadable_photo_is_replaced_by_the_next_and_named(tmp_path, how, suffix):
    photo_folder(tmp_path, 3)
    damage(tmp_path / f'a{suffix}', how)
    photos = Photos(str(tmp_path), 'val', img_size=8, hold_out=1)
    item = photos[photos.names.index(f'a{suffix}'), 5]
    assert [name.partition(' (')[0] for name in item['skipped']] == [f'a{suffix}']
    assert torch.equal(item['inputs'], photos[photos.names.index('photo0.png'), 5]['inputs'])


def test_after_the_last_photo_skipping_continues_with_the_first(tmp_path):
    photo_folder(tmp_path, 2)
    damage(tmp_path / 'y.png', 'text')
    damage(tmp_path / 'z.png', 'text')
    assert Photos(str(tmp_path), 'val', img_size=8, hold_out=1)[2]['skipped'] == [
        f'{name}.png (is an HTML page, saved in place of an image)' for name in 'yz'
    ]


def test_nothing_is_skipped_before_a_readable_photo(tmp_path):
    assert Photos(str(photo_folder(tmp_path, 2)), img_size=8)[0]['skipped'] == []


def test_no_readable_photo_at_all_is_an_error(tmp_path):
    for name in 'abc':
        damage(tmp_path / f'{name}.png', 'text')
    photos = Photos(str(tmp_path), 'train')
    with pytest.raises(UserError, match=f'of the 2 images in .* can be read: {photos.name(1)} .* is the first$'):
        photos[1]


def empty(folder):
    return folder


def only_text(folder):
    (folder / 'readme.txt').write_text('no photo')
    return folder


def empty_list(folder):
    (folder / 'list.txt').write_text('\n \n')
    return folder / 'list.txt'


def empty_train(folder):
    (folder / 'train').mkdir()
    save_photo(folder / 'val' / 'a.png')
    return folder


@pytest.mark.parametrize(
    'source, words',
    [
        (lambda folder: folder / 'nowhere', 'nowhere does not exist: give a folder of images, a list file or an image'),
        (empty, 'no image in .*: looked for .jpg'),
        (only_text, 'no image in'),
        (empty_train, 'no image in .*train'),
        (empty_list, 'names no image: give one path per line'),
    ],
)
def test_a_source_without_photos_is_refused_in_one_line(tmp_path, source, words):
    with pytest.raises(UserError, match=words) as caught:
        Photos(str(source(tmp_path)))
    assert '\n' not in str(caught.value)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="'train' or 'val'; found 'test'"):
        Photos(str(photo_folder(tmp_path, 2)), 'test')
