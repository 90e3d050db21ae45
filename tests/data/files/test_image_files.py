"""Finding images in folder trees: what counts, what is passed over, links, names of any bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mae_transfer.data.files import image_files
from mae_transfer.data.files.image_files import SUFFIXES, ImageSearch, identity, images_below
from tests.helpers import save_photo


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def link(at: Path, to: str | Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(to)


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """The lines that are logged."""
    lines: list[str] = []
    monkeypatch.setattr(image_files, 'print_log', lambda line, **_: lines.append(line))
    return lines


# --- what counts ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'hidden',
    [
        '.ipynb_checkpoints/000-checkpoint.jpg',
        '._a.jpg',
        '.a.jpg',
        '.git/x.png',
        '__MACOSX/a/._a.jpg',
        '__MACOSX/a.jpg',
        '@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg',
        'sub/.thumbnails/a.jpg',
    ],
)
def test_hidden_files_and_folders_are_passed_over(tmp_path, hidden, told):
    assert images_below(tree(tmp_path, 'a.jpg', hidden)) == ['a.jpg']
    assert not told


def test_a_hidden_folder_may_itself_be_the_root(tmp_path):
    assert images_below(tree(tmp_path / '.cache', 'a.jpg')) == ['a.jpg']


@pytest.mark.parametrize('suffix', [*SUFFIXES, '.JPG', '.Jpeg', '.TIF', '.JFIF', '.GIF', '.Pgm'])
def test_suffixes_of_any_case_count(tmp_path, suffix):
    assert images_below(tree(tmp_path, f'a{suffix}', 'b.jpg')) == [f'a{suffix}', 'b.jpg']


@pytest.mark.parametrize('suffix', ['.gif', '.jfif', '.jp2', '.pgm', '.pbm', '.jpe'])
def test_every_suffix_that_counts_is_read(tmp_path, suffix):
    from mae_transfer.data import Photos

    save_photo(tmp_path / 'a.png')
    made = {'.jfif': '.jpg', '.jpe': '.jpg'}.get(suffix, suffix)
    save_photo(tmp_path / f'b{made}', mode='1' if suffix == '.pbm' else 'L').rename(tmp_path / f'b{suffix}')
    photos = Photos(str(tmp_path), 'val', img_size=8, hold_out=1)
    assert photos.names == ['a.png', f'b{suffix}'] and photos[1]['skipped'] == []


def test_what_is_passed_over_is_counted_and_named_once(tmp_path, told):
    tree(tmp_path, 'a.jpg', *(f'n{i}.txt' for i in range(3)), 'sub/film.MP4', 'README')
    for _ in range(2):
        assert images_below(tmp_path) == ['a.jpg']
    assert told == [
        f'{tmp_path}: files that are no images by their suffix are passed over (5): .txt 3, no suffix 1, .mp4 1; e.g. '
        "'n0.txt'"
    ]


def test_other_suffixes_can_be_asked_for(tmp_path):
    assert images_below(tree(tmp_path, 'a.npy', 'b.jpg'), ('.npy',)) == ['a.npy']


def test_pipes_are_no_images(tmp_path, told):
    tree(tmp_path, 'a.jpg')
    os.mkfifo(tmp_path / 'b.jpg')
    link(tmp_path / 'c.jpg', 'b.jpg')
    assert images_below(tmp_path) == ['a.jpg']  # opening a pipe would wait for ever
    assert 'are passed over (2): .jpg 2' in told[0]


def test_names_that_are_not_utf_8_are_kept(tmp_path, told):
    name = os.fsdecode(b'caf\xe9')
    tree(tmp_path, f'{name}/{name}.jpg', f'{name}.b\udce9')
    assert images_below(tmp_path) == [f'{name}/{name}.jpg']
    assert told[0].endswith(": .b\\xe9 1; e.g. 'caf\\xe9.b\\xe9'")


def test_a_folder_that_cannot_be_read_is_told(tmp_path, told, monkeypatch):
    tree(tmp_path, 'a.jpg', 'closed/b.jpg')
    scan = os.scandir

    def refuse(path):
        if str(path).endswith('closed'):
            raise PermissionError(13, 'Permission denied')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    assert images_below(tmp_path) == ['a.jpg']
    assert told == [
        f'{tmp_path}: folders that cannot be read are passed over (1): {tmp_path}/closed (Permission denied)'
    ]


# --- links ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('up', ['..', '../..', '.', '/'])
def test_a_link_to_a_folder_that_contains_it_is_not_followed(tmp_path, up, told):
    tree(tmp_path, 'photos/a/1.jpg', 'photos/2.jpg', 'other/3.jpg')
    link(tmp_path / 'photos/a/up', up)
    assert images_below(tmp_path / 'photos') == ['2.jpg', 'a/1.jpg']
    assert told == [
        f'{tmp_path}/photos: links to folders that are searched anyway are not followed (1): {tmp_path}/photos/a/up'
    ]


def test_many_links_to_parents_end(tmp_path):
    tree(tmp_path, 'a/1.jpg', 'b/2.jpg')
    for folder in 'ab':
        for number in range(4):
            link(tmp_path / folder / f'up{number}', '..')
    assert images_below(tmp_path) == ['a/1.jpg', 'b/2.jpg']


def test_a_linked_folder_is_entered_once(tmp_path):
    tree(tmp_path / 'elsewhere', '1.jpg', 'sub/2.jpg')
    for name in ('x', 'y'):
        link(tmp_path / 'photos' / name, tmp_path / 'elsewhere')
    assert images_below(tmp_path / 'photos') == ['x/1.jpg', 'x/sub/2.jpg']


def test_links_within_the_tree_do_not_change_names(tmp_path):
    tree(tmp_path, 'z/sub/1.jpg')
    link(tmp_path / 'a/first', '../z/sub')
    link(tmp_path / 'b', 'z')
    assert images_below(tmp_path) == ['z/sub/1.jpg']


def test_circles_of_links_elsewhere_end(tmp_path):
    tree(tmp_path / 'elsewhere', 'one/1.jpg', 'two/2.jpg')
    link(tmp_path / 'elsewhere/one/other', '../two')
    link(tmp_path / 'elsewhere/two/other', '../one')
    link(tmp_path / 'photos/in', tmp_path / 'elsewhere/one')
    assert images_below(tmp_path / 'photos') == ['in/1.jpg', 'in/other/2.jpg']


def test_links_to_files_count(tmp_path):
    tree(tmp_path, 'photos/a.jpg', 'elsewhere/b.jpg')
    link(tmp_path / 'photos/b.jpg', '../elsewhere/b.jpg')
    link(tmp_path / 'photos/c.jpg', 'a.jpg')
    link(tmp_path / 'photos/gone.jpg', 'nowhere.jpg')  # told when it is read
    link(tmp_path / 'photos/self.jpg', 'self.jpg')
    assert images_below(tmp_path / 'photos') == ['a.jpg', 'b.jpg', 'c.jpg', 'gone.jpg', 'self.jpg']


def test_the_root_may_be_a_link(tmp_path):
    tree(tmp_path / 'photos', 'a/1.jpg')
    link(tmp_path / 'linked', 'photos')
    link(tmp_path / 'photos/a/up', '..')
    assert images_below(tmp_path / 'linked') == ['a/1.jpg']


def test_closed_folders_are_entered_only_where_a_search_begins_in_them(tmp_path):
    tree(tmp_path, 'cat/1.jpg', 'dog/2.jpg')
    link(tmp_path / 'cat/others', '../dog')
    search = ImageSearch(tmp_path, closed=[identity(tmp_path / name) for name in ('cat', 'dog')])
    assert [search.below(tmp_path / name) for name in ('cat', 'dog')] == [['1.jpg'], ['2.jpg']]


def test_each_folder_is_asked_for_once(tmp_path, monkeypatch):
    tree(tmp_path, *(f'{folder}/{number}.jpg' for folder in 'abc' for number in range(9)))
    asked = []
    stat = os.stat
    monkeypatch.setattr(os, 'stat', lambda path, *rest, **more: asked.append(str(path)) or stat(path, *rest, **more))
    assert len(images_below(tmp_path)) == 27
    assert sorted(path for path in asked if path.startswith(f'{tmp_path}/')) == [f'{tmp_path}/{name}' for name in 'abc']
