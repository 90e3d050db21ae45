"""Output paths of tools: they are checked, and their folders created."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.outputs import output_file, output_folder, output_picture, save_picture


def test_the_folders_above_a_file_are_created(tmp_path):
    assert output_file(tmp_path / 'a' / 'b' / 'out.json', '--json') == tmp_path / 'a' / 'b' / 'out.json'
    assert (tmp_path / 'a' / 'b').is_dir() and not (tmp_path / 'a' / 'b' / 'out.json').exists()


def test_an_existing_folder_is_accepted(tmp_path):
    for _ in range(2):
        assert output_folder(tmp_path / 'a' / 'b', '--work-dir').is_dir()


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"--json: '{tmp_path}' is a folder: name a file in it"):
        output_file(tmp_path, '--json')


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / 'file').touch()
    for check, path in ((output_folder, 'file'), (output_folder, 'file/below'), (output_file, 'file/out.json')):
        with pytest.raises(UserError, match=f"--out: the folder '{tmp_path}/file.*' cannot be created: "):
            check(tmp_path / path, '--out')


def test_a_folder_can_be_checked_without_being_created(tmp_path):
    assert output_folder(tmp_path / 'a' / 'b', '--work-dir', create=False) == tmp_path / 'a' / 'b'
    assert not (tmp_path / 'a').exists()
    (tmp_path / 'file').touch()
    (tmp_path / 'link').symlink_to('nowhere')
    for path, says in (('file', f"'{tmp_path}/file' is a file"), ('link/a', f"'{tmp_path}/link' is a link that leads")):
        with pytest.raises(UserError, match=f"^--work-dir: the folder '{tmp_path}/{path}' cannot be created: {says}"):
            output_folder(tmp_path / path, '--work-dir', create=False)


@pytest.mark.parametrize('path', ['', 'new', 'new/newer'])
def test_what_cannot_be_written_to_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda *_: False)  # as tests may run as root, who may write everywhere
    with pytest.raises(UserError, match=f"--out: the folder .* cannot be created: '{tmp_path}' cannot be written to"):
        output_folder(tmp_path / path, '--out')
    (tmp_path / 'file').touch()
    monkeypatch.setattr(os, 'access', lambda place, _: place == tmp_path)
    with pytest.raises(UserError, match=f"--json: the file '{tmp_path}/file' cannot be written to"):
        output_file(tmp_path / 'file', '--json')


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert output_file('~/a/out.json', '--json') == tmp_path / 'a' / 'out.json'
    assert output_folder('~/b', '--work-dir') == tmp_path / 'b'


@pytest.mark.parametrize('name', ['a.txt', 'a', 'a.xbm'])  # of black and white only
def test_a_picture_has_the_suffix_of_a_format_in_colour(name, tmp_path):
    with pytest.raises(
        UserError, match=f"^out: '{tmp_path}/{name}' must end in the suffix of an image format, such as"
    ):
        output_picture(tmp_path / name, 'out')
    assert (
        output_picture(tmp_path / 'new' / 'a.PNG', 'out') == tmp_path / 'new' / 'a.PNG' and (tmp_path / 'new').is_dir()
    )


def test_a_picture_that_its_format_cannot_hold(tmp_path):
    save_picture(Image.new('RGB', (9, 8), 'red'), tmp_path / 'a.png', 'out')
    with Image.open(tmp_path / 'a.png') as picture:
        assert picture.size == (9, 8)
    with pytest.raises(UserError, match=r'^out: .*a.jpg cannot hold a picture of 70000 x 1 pixels \(.*\): choose .png'):
        save_picture(Image.new('RGB', (70000, 1)), tmp_path / 'a.jpg', 'out')
