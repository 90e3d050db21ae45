"""mae-transfer: its overview, its subcommands, and how it ends."""

from __future__ import annotations

import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mae_transfer import launch
from mae_transfer.command import main as module
from mae_transfer.command.main import SUBCOMMANDS, parser_of
from mae_transfer.errors import UserError
from tests.command.calls import command
from tests.tools.commands import REPOSITORY, error_line

OPTIONS = 'mae-transfer doctor --help says what there is'
NO_TIMM = ModuleNotFoundError("No module named 'timm'", name='timm')


def in_a_process(code: str, *words: str) -> subprocess.CompletedProcess:
    environment = {'PYTHONPATH': str(REPOSITORY), 'PATH': '/usr/bin:/bin', 'HOME': '/tmp'}
    run = [sys.executable, '-c', code, *words]
    return subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)


def test_help_lists_the_subcommands_without_pytorch():
    code = (
        'import sys; from mae_transfer.command.main import main; main(sys.argv[1:])\n'
        'assert not {"torch", "torchvision", "mmcv", "PIL", "mmengine.runner"} & set(sys.modules), "imported"'
    )
    ended = in_a_process(code, '--help')
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == 'usage: mae-transfer SUBCOMMAND ...'
    for name, line in SUBCOMMANDS.items():
        assert sum(text.split(maxsplit=1) == [name, line] for text in lines) == 1


@pytest.mark.parametrize('words', [[], ['-h'], ['help']])
def test_the_overview_is_what_no_words_give(words):
    assert command(*words).out.splitlines()[0] == 'usage: mae-transfer SUBCOMMAND ...'


def test_the_version():
    assert command('--version').out.startswith('mae-transfer 0.')


@pytest.mark.parametrize(
    'words, line',
    [
        (['pretrian'], "there is no subcommand 'pretrian': did you mean pretrain?; mae-transfer --help lists them"),
        (['xyz'], "there is no subcommand 'xyz'; mae-transfer --help lists them"),
        (['--help-me'], "there is no subcommand '--help-me'; mae-transfer --help lists them"),
        (['doctor', '--jsn'], f'there is no option --jsn: did you mean --json?; {OPTIONS}'),
        (['doctor', '--js'], f'there is no option --js: did you mean --json?; {OPTIONS}'),
        (['doctor', 'all'], f'all is one word too many; {OPTIONS}'),
    ],
)
def test_a_misspelt_word_is_one_line_with_the_closest(words, line):
    ended = command(*words)
    assert (ended.code, ended.out, ended.err) == (2, '', f'error: {line}\n')


@pytest.mark.parametrize('name', SUBCOMMANDS)
def test_help_of_a_subcommand_has_a_paragraph_and_two_examples_that_parse(name, monkeypatch):
    monkeypatch.setenv('COLUMNS', '100')
    ended = command(name, '--help')
    assert ended.code == 0 and ended.out.startswith(f'usage: mae-transfer {name} '), ended.err
    text, _, examples = ended.out.partition('\nexamples:\n')
    assert len(text.split('\n\n')[1]) > 80, 'no paragraph'
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert len(lines) == 2
    for line in lines:
        program, subcommand, *words = shlex.split(line)
        assert (program, subcommand) == ('mae-transfer', name)
        parser_of(name).parse(words)


def test_a_mistake_in_a_run_is_one_line(tmp_path):
    line = error_line(command('convert', tmp_path / 'no.pth', tmp_path / 'out.pth', '--to', 'timm'))
    assert 'no.pth' in line


@pytest.mark.parametrize(
    'raised, code, err',
    [
        (UserError('what is wrong'), 2, 'error: what is wrong\n'),
        (KeyboardInterrupt(), 130, 'stopped by Ctrl-C\n'),
        (KeyboardInterrupt('stopped at step 3'), 130, 'stopped at step 3\n'),
        (NO_TIMM, 2, 'error: timm is not installed: mae-transfer doctor says what to do\n'),
    ],
)
def test_how_it_ends(raised, code, err, monkeypatch, tmp_path):
    def fail(_):
        raise raised

    monkeypatch.setattr(module, 'subcommand', lambda name: SimpleNamespace(run=fail))
    monkeypatch.setattr(module, 'parser_of', lambda name: SimpleNamespace(parse=lambda words: SimpleNamespace()))
    ended = command('plan')
    assert (ended.code, ended.err) == (code, err)


def test_an_error_of_ours_keeps_its_traceback(monkeypatch):
    def fail(_):
        raise ModuleNotFoundError("No module named 'mae_transfer.nothing'", name='mae_transfer.nothing')

    monkeypatch.setattr(module, 'subcommand', lambda name: SimpleNamespace(run=fail))
    monkeypatch.setattr(module, 'parser_of', lambda name: SimpleNamespace(parse=lambda words: SimpleNamespace()))
    with pytest.raises(ModuleNotFoundError):
        command('plan')


def test_ctrl_c_while_pytorch_is_imported_is_one_line(monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, 'run_main', stop)
    ended = command('plan', 'mae_transfer::mae_pretrain_vitb.py', '--gpus', 1, '--gpu-memory', 1)
    assert (ended.code, ended.err) == (130, 'stopped by Ctrl-C\n')
