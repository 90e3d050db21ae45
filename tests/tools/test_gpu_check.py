"""tools/gpu_check.sh: its commands name what exists; a part that fails does not stop the others."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from unittest import mock

import pytest

from mae_transfer.settings import read_config
from tests.docs.test_commands import parsed
from tests.tools.commands import REPOSITORY

NAMES = ['images', 'tests', 'reliability', 'pretrain', 'detect', 'segment', 'kinds', 'cost', 'saving', 'compiled']


def check(*arguments, **variables) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **{name: str(value) for name, value in variables.items()}}
    command = [str(REPOSITORY / 'tools' / 'gpu_check.sh'), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def listed(*arguments) -> list[tuple[str, str]]:
    """(part, a command) of all commands that the script would run."""
    lines = check('--list', *arguments).stdout.splitlines()
    found, part = [], ''
    for line in lines:
        if match := re.match(r'(\w+) \(\d+ s\): (.*)', line):
            part = match[1]
        found.append((part, match[2] if match else line.strip()))
    return found


@pytest.mark.parametrize('arguments', [(), ('--cpu',)], ids=str)
def test_every_part_names_tools_modules_options_and_configs_that_exist(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    commands = listed(*arguments)
    assert list(dict.fromkeys(part for part, _ in commands)) == NAMES
    for _, line in commands:
        # Parsers make the folders that are written to.
        script, *options = shlex.split(re.sub(r'work_dirs/gpu_check_\d+', str(tmp_path), line))
        for word in options:
            if word.startswith(('configs/', 'tests/')) and '{}' not in word:
                assert Path(word).exists(), word
        if script == 'real_images':
            continue
        if script == 'tools/python':
            assert options[0] == '-m' and importlib.util.find_spec(options[1]), line
            continue
        tool = Path(script).stem
        if tool == 'read_vit':
            options = ['none' if option.endswith('/mae') else option for option in options if option != 'none']
        with mock.patch('torch.cuda.is_available', lambda: True):
            args = parsed(tool, options)
        if tool == 'train':
            read_config(args.config, args.cfg_options)  # refuses settings that do not exist
        if tool == 'read_vit':
            for protocol in args.protocols:
                assert Path(args.configs.format(protocol)).is_file()


@pytest.mark.slow
def test_a_part_runs_and_its_table_is_kept(tmp_path):
    ended = check('--cpu', 'cost', OUT=tmp_path / 'found')
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = (tmp_path / 'found' / 'summary.md').read_text()
    assert '| cost | ok | ' in summary and summary.strip() in ended.stdout
    assert re.search(
        r'\n\n\| config \| GFLOPs per image .*\n\|.*\n\| table1a_decoder_depth_8 \| [\d.]+ \| 1.00 ', summary
    )
    assert '===== cost' in (tmp_path / 'found' / 'log.txt').read_text()
    assert sorted(path.name for path in (tmp_path / 'found').iterdir()) == ['log.txt', 'summary.md']


def test_a_part_that_fails_or_has_no_data_does_not_stop_the_others(tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "error: $* does not work" >&2\nexit 3\n')
    python.chmod(0o755)
    ended = check('--cpu', 'images', 'saving', 'cost', OUT=tmp_path, PYTHON=python, MAE_TRANSFER_DATA='/nowhere')
    assert ended.returncode == 1
    summary = (tmp_path / 'summary.md').read_text()
    ends = dict(re.findall(r'\| (\w+) \| ([\w, ]+) \| \d+ \|', summary))
    assert ends == {'images': 'skipped', 'saving': 'failed, exit code 3', 'cost': 'failed, exit code 3'}
    assert 'skipped: no /nowhere/tinyimagenet20: name the folder' in summary and 'does not work' in summary


def test_no_time_is_a_failure(tmp_path):
    ended = check('--cpu', 'cost', OUT=tmp_path, BUDGET=1)
    assert ended.returncode == 1 and '| cost | no time left of 1 s |' in (tmp_path / 'summary.md').read_text()


def test_a_signal_ends_the_script_and_what_it_started(tmp_path):
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 100\n')
    python.chmod(0o755)
    environment = {**os.environ, 'OUT': str(tmp_path / 'found'), 'PYTHON': str(python)}
    script = [str(REPOSITORY / 'tools' / 'gpu_check.sh'), '--cpu', 'cost']
    with subprocess.Popen(script, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (tmp_path / 'pid').exists() or not (tmp_path / 'pid').read_text():
            assert process.poll() is None
            time.sleep(0.1)
        process.terminate()
        assert process.wait(20) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'pid').read_text()), 0)


def test_what_is_misspelt_or_missing_is_said_in_one_line(tmp_path):
    ended = check('--cpu', 'nothing', OUT=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, '')
    assert ended.stderr == f"error: no part 'nothing': choose from {' '.join(NAMES)}\n"
    assert check('--fast').stderr.startswith('usage: tools/gpu_check.sh')
