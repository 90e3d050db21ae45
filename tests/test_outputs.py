"""Output paths of tools: they are checked, and their folders created."""

from __future__ import annotations

import pytest

from mae_transfer.errors import UserError
from mae_transfer.outputs import output_file, output_folder


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
