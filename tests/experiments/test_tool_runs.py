"""Tools are run once each, as processes; a failure is reported in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mae_transfer.errors import UserError
from mae_transfer.experiments import tool_runs
from mae_transfer.experiments.tool_runs import TOOLS, package_file, run_once


@pytest.fixture
def fake_tools(monkeypatch, tmp_path):
    """A fake tools/train.py: prints its arguments, counts its starts, and fails if its first argument is 'fails'."""
    folder = tmp_path / 'fake tools'
    folder.mkdir()
    (folder / 'train.py').write_text(
        'import os, sys\n'
        'open(os.environ["STARTS"], "a").write("x")\n'
        'print(sys.argv[1:])\n'
        'sys.exit("error: no luck" if sys.argv[1] == "fails" else 0)\n'
    )
    monkeypatch.setattr(tool_runs, 'TOOLS', folder)
    monkeypatch.setenv('STARTS', str(tmp_path / 'starts'))
    return tmp_path / 'starts'


def test_a_run_is_run_once_and_leaves_its_log(fake_tools, tmp_path, capsys):
    assert run_once(tmp_path / 'a' / 'run', 'train', ['works', 'two words'])
    assert not run_once(tmp_path / 'a' / 'run', 'train', ['works', 'two words'])
    assert (tmp_path / 'a' / 'run' / 'log.txt').read_text() == "['works', 'two words']\n"
    assert fake_tools.read_text() == 'x' and capsys.readouterr().out == 'run ...\n'


def test_a_run_that_failed_is_reported_and_run_again(fake_tools, tmp_path):
    for _ in range(2):
        with pytest.raises(UserError) as failed:
            run_once(tmp_path / 'run', 'train', ['fails'], 'the name')
        assert str(failed.value) == f'the name ended with exit code 1: no luck ({tmp_path}/run/log.txt)'
    assert fake_tools.read_text() == 'xx'


def test_the_tools_are_found_next_to_the_configs():
    assert (TOOLS / 'train.py').is_file() and os.access(TOOLS / 'python', os.X_OK)


def test_files_of_the_package_are_named_as_a_user_would_type_them(monkeypatch, tmp_path):
    monkeypatch.chdir(TOOLS.parent)
    assert package_file('tools', 'train.py') == 'tools/train.py'
    monkeypatch.chdir(tmp_path)
    assert Path(package_file('configs', 'quickstart', 'mae_pretrain.py')).is_absolute()
