"""tools/python and the shell scripts: which Python they run, and that arguments and exit codes are passed on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.commands import REPOSITORY

TOOLS = REPOSITORY / 'tools'
#: The programs that the scripts need, apart from Python.
PROGRAMS = ('bash', 'cat', 'dirname', 'env', 'readlink', 'sh')
STUB = """\
#!/bin/sh
echo '{name}'
for argument in "$@"; do printf '[%s]\\n' "$argument"; done
echo "path: $PYTHONPATH"
exit ${CODE:-0}
"""


def write_stub(path: Path, name: str) -> Path:
    """Write a program that prints its name, its arguments and PYTHONPATH, and ends with $CODE."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB.replace('{name}', name))
    path.chmod(0o755)
    return path


class Checkout:
    """A copy of the tools in a folder whose name has spaces, and a folder of the programs on PATH."""

    def __init__(self, folder: Path):
        self.folder, self.programs = folder / 'a checkout', folder / 'bin'
        shutil.copytree(TOOLS, self.folder / 'tools', ignore=shutil.ignore_patterns('__pycache__'))
        (self.folder / 'mae_transfer').mkdir()
        (self.folder / 'mae_transfer' / '__init__.py').touch()
        self.programs.mkdir()
        for program in PROGRAMS:
            (self.programs / program).symlink_to(shutil.which(program))

    def run(self, tool: str | Path, *arguments: str, cwd: Path | None = None, **environment: str):
        """Run ``tools/TOOL``, or a path, with an environment of PATH and the given variables."""
        return subprocess.run(
            [str(self.folder / 'tools' / tool), *arguments],
            env={'PATH': str(self.programs), **{name: str(value) for name, value in environment.items()}},
            cwd=cwd,
            capture_output=True,
            text=True,
        )

    def chosen(self, **environment: str) -> str:
        """The name of the Python that is used."""
        ended = self.run('python', **environment)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()[0]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_the_order_in_which_pythons_are_chosen(checkout, tmp_path):
    places = [
        ('python', checkout.programs / 'python', {}),
        ('python3', checkout.programs / 'python3', {}),
        ('own', checkout.folder / '.venv' / 'bin' / 'python', {}),
        ('conda', tmp_path / 'conda' / 'bin' / 'python', {'CONDA_PREFIX': tmp_path / 'conda'}),
        ('virtual', tmp_path / 'virtual env' / 'bin' / 'python', {'VIRTUAL_ENV': tmp_path / 'virtual env'}),
        ('named', tmp_path / 'my python', {'PYTHON': tmp_path / 'my python'}),
    ]
    environment = {}
    for name, path, variables in places:  # each is preferred to those before it
        write_stub(path, name)
        environment.update(variables)
        assert checkout.chosen(**environment) == name


def test_a_python_can_be_given_by_a_name_on_the_path(checkout):
    write_stub(checkout.programs / 'python3', 'python3')
    write_stub(checkout.programs / 'python3.99', 'python3.99')
    assert checkout.chosen(PYTHON='python3.99') == 'python3.99' and checkout.chosen(PYTHON='') == 'python3'


def test_an_environment_that_does_not_exist_is_skipped(checkout, tmp_path):
    write_stub(checkout.programs / 'python3', 'python3')
    assert checkout.chosen(VIRTUAL_ENV=tmp_path / 'gone', CONDA_PREFIX=tmp_path / 'gone') == 'python3'
    (checkout.folder / '.venv' / 'bin').mkdir(parents=True)
    (checkout.folder / '.venv' / 'bin' / 'python').symlink_to(tmp_path / 'gone')
    assert checkout.chosen() == 'python3'


def test_the_base_environment_of_conda_is_not_used(checkout, tmp_path):
    write_stub(tmp_path / 'conda' / 'bin' / 'python', 'conda')
    write_stub(checkout.folder / '.venv' / 'bin' / 'python', 'own')
    conda = dict(CONDA_PREFIX=tmp_path / 'conda')
    assert checkout.chosen(**conda, CONDA_DEFAULT_ENV='base') == 'own'
    assert checkout.chosen(**conda, CONDA_DEFAULT_ENV='mae') == 'conda'


@pytest.mark.parametrize('tool', ['python', 'train.py', 'dist_train.sh'])
@pytest.mark.parametrize(
    'environment, line',
    [
        ({}, 'error: no Python found: install Python 3.10 or newer, or name one: PYTHON=/path/to/python3.11\n'),
        (
            {'PYTHON': '/no/python'},
            'error: PYTHON=/no/python is not a program: name a Python, e.g. PYTHON=/path/to/python3.11\n',
        ),
        ({'PYTHON': '/etc'}, 'error: PYTHON=/etc is not a program: name a Python, e.g. PYTHON=/path/to/python3.11\n'),
    ],
)
def test_a_missing_python_is_reported_in_one_line(tool, environment, line, checkout):
    ended = checkout.run(tool, 'config.py', '2', **environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, '', line)


ARGUMENTS = ['two  words', '', '$HOME', "it's", '"quoted"', 'a\\b', '*', '--option=x y']


def test_arguments_and_exit_code_are_passed_on_unchanged(checkout):
    write_stub(checkout.programs / 'python3', 'python3')
    ended = checkout.run('python', *ARGUMENTS, CODE='7')
    assert ended.returncode == 7
    assert ended.stdout.splitlines()[1:-1] == [f'[{argument}]' for argument in ARGUMENTS]


@pytest.mark.parametrize('link', ['none', 'folder', 'file'])
def test_a_tool_can_be_run_from_any_folder(link, checkout, tmp_path):
    write_stub(checkout.folder / '.venv' / 'bin' / 'python', 'own')
    path = checkout.folder / 'tools' / 'train.py'
    if link == 'folder':
        (tmp_path / 'my tools').symlink_to(path.parent)
        path = tmp_path / 'my tools' / 'train.py'
    elif link == 'file':
        (tmp_path / 'my bin').mkdir()
        (tmp_path / 'my bin' / 'train').symlink_to(path)
        path = tmp_path / 'my bin' / 'train'
    (tmp_path / 'else where').mkdir()
    ended = checkout.run(path, *ARGUMENTS, cwd=tmp_path / 'else where', CODE='3')
    assert ended.returncode == 3, ended.stderr
    assert ended.stdout.splitlines() == [
        'own',
        f'[{path}]',
        *(f'[{argument}]' for argument in ARGUMENTS),
        f'path: {checkout.folder}',
    ]


def test_a_tool_is_run_by_a_relative_path(checkout):
    write_stub(checkout.folder / '.venv' / 'bin' / 'python', 'own')
    ended = subprocess.run(
        ['tools/test.py', 'x'],
        cwd=checkout.folder,
        env={'PATH': str(checkout.programs)},
        capture_output=True,
        text=True,
    )
    assert ended.stdout.splitlines()[:3] == ['own', '[tools/test.py]', '[x]']


def test_every_tool_begins_with_the_same_line_and_is_executable():
    tools = sorted(TOOLS.glob('*.py'))
    assert len({tool.read_text().splitlines()[0] for tool in tools}) == 1 and len(tools) >= 9
    assert all(os.access(path, os.X_OK) for path in [*tools, *TOOLS.glob('*.sh'), TOOLS / 'python'])


def test_the_checkout_comes_first_on_the_path(checkout):
    write_stub(checkout.programs / 'python3', 'python3')
    ended = checkout.run('python', PYTHONPATH='/some/where')
    assert ended.stdout.splitlines()[-1] == f'path: {checkout.folder}:/some/where'


def test_the_tools_of_an_installed_package_do_not_use_a_checkout(checkout, tmp_path):
    package = tmp_path / 'site-packages' / 'mae_transfer'
    shutil.copytree(TOOLS, package / '.mim' / 'tools', ignore=shutil.ignore_patterns('__pycache__'))
    (package / '__init__.py').touch()
    write_stub(package / '.venv' / 'bin' / 'python', 'not ours')
    write_stub(checkout.programs / 'python3', 'python3')
    ended = checkout.run(package / '.mim' / 'tools' / 'train.py')
    assert ended.stdout.splitlines() == ['python3', f'[{package}/.mim/tools/train.py]', 'path: ']


def test_the_tools_inside_the_package_of_a_checkout_use_the_checkout(checkout):
    write_stub(checkout.folder / '.venv' / 'bin' / 'python', 'own')
    (checkout.folder / 'mae_transfer' / '.mim').mkdir()
    (checkout.folder / 'mae_transfer' / '.mim' / 'tools').symlink_to('../../tools')
    ended = checkout.run(checkout.folder / 'mae_transfer' / '.mim' / 'tools' / 'train.py')
    assert ended.stdout.splitlines()[0] == 'own' and ended.stdout.splitlines()[-1] == f'path: {checkout.folder}'


@pytest.mark.parametrize('name, more', [('train', []), ('test', ['weights.pth'])])
def test_distributed_tools_work_without_a_python_on_the_path(name, more, checkout):
    write_stub(checkout.folder / '.venv' / 'bin' / 'python', 'own')
    ended = checkout.run(f'dist_{name}.sh', 'a config.py', *more, '2', '--cfg-options', 'a=b c', CODE='5', PORT='1234')
    assert ended.returncode == 5, ended.stderr
    out = [line.strip('[]') for line in ended.stdout.splitlines()]
    assert out[:3] == ['own', '-m', 'mae_transfer.compat.torchrun'] and out[out.index('--master_port') + 1] == '1234'
    tool = out.index(f'{checkout.folder}/tools/{name}.py')
    assert out[tool - 2 : tool] == ['--nproc_per_node', '2']
    assert out[tool + 1 : -1] == ['a config.py', *more, '--launcher', 'pytorch', '--cfg-options', 'a=b c']


@pytest.mark.parametrize(
    'name, arguments, passed',
    [
        ('train', ['config.py', 'work dir', '--amp', 'off'], ['config.py', '--work-dir', 'work dir']),
        ('test', ['config.py', 'weights.pth', '--tta'], ['config.py', 'weights.pth']),
    ],
)
def test_slurm_scripts_start_the_same_python(name, arguments, passed, checkout):
    write_stub(checkout.programs / 'srun', 'srun')
    ended = checkout.run(f'slurm_{name}.sh', 'a partition', 'a job', *arguments, GPUS='4', SRUN_ARGS='--time 10')
    assert ended.returncode == 0, ended.stderr
    out = [line.strip('[]') for line in ended.stdout.splitlines()]
    assert out[:5] == ['srun', '-p', 'a partition', '--job-name', 'a job']
    start = out.index('--time')
    tools = f'{checkout.folder}/tools'
    assert out[start : start + 5] == ['--time', '10', f'{tools}/python', '-u', f'{tools}/{name}.py']
    assert out[start + 5 : -1] == [*passed, '--launcher', 'slurm', *arguments[2:]]


SET_UP = '#!/usr/bin/env bash\nset -euo pipefail\n. "$(dirname "$0")/set_up.sh"\nset_up "$@"\necho "PYTHON: $PYTHON"\n'


@pytest.fixture
def set_up(checkout):
    """Calls set_up in a checkout where python3 creates environments with a fake Python."""
    (checkout.folder / 'setup.cfg').touch()
    (checkout.folder / 'requirements').mkdir()
    (checkout.folder / 'requirements' / 'constraints.txt').touch()
    for program in ('chmod', 'cksum', 'mkdir', 'cp'):
        (checkout.programs / program).symlink_to(shutil.which(program))
    (checkout.folder / 'tools' / 'call_set_up').write_text(SET_UP)
    (checkout.folder / 'tools' / 'call_set_up').chmod(0o755)
    # It answers what set_up asks Python for: its path, its environment, whether it is new enough; -m venv copies it.
    fake = checkout.programs / 'python3'
    fake.write_text(
        '#!/bin/sh\n'
        'here=$(dirname "$0")\n'
        'case "$*" in\n'
        '*sys.prefix*) dirname "$here" ;;\n'
        '*sys.executable*) echo "$0" ;;\n'
        '-m\\ venv*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;\n'
        '-m\\ pip*) echo "installs: $0" ;;\n'
        'esac\n'
    )
    fake.chmod(0o755)
    return lambda *arguments, **environment: checkout.run('call_set_up', *arguments, **environment)


def test_set_up_creates_an_environment_and_installs_into_it_once(set_up, checkout, tmp_path):
    own = checkout.folder / '.venv' / 'bin' / 'python'
    for call in range(2):
        ended = set_up()
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == f'PYTHON: {own}'
        assert ended.stdout.count(f'installs: {own}') == (0 if call else 2)  # nothing is installed again


def test_set_up_by_itself_says_how_to_go_on(set_up, checkout):
    ended = checkout.run('set_up.sh')
    assert ended.returncode == 0, ended.stderr
    activate = checkout.folder / '.venv' / 'bin' / 'activate'
    assert ended.stdout.splitlines()[-1] == f"set-up: done; '. {activate}' puts the command mae-transfer on the path"


def test_set_up_without_a_venv_uses_the_python_of_the_tools(set_up, checkout, tmp_path):
    ended = set_up('--no-venv')
    assert ended.stdout.splitlines()[-1] == f'PYTHON: {checkout.programs}/python3'
    assert not (checkout.folder / '.venv').exists()
    active = tmp_path / 'active' / 'bin' / 'python'
    active.parent.mkdir(parents=True)
    shutil.copy(checkout.programs / 'python3', active)
    assert set_up('--no-venv', VIRTUAL_ENV=tmp_path / 'active').stdout.splitlines()[-1] == f'PYTHON: {active}'


def test_set_up_reports_an_active_environment_that_the_other_tools_use(set_up, checkout, tmp_path):
    active = tmp_path / 'active' / 'bin' / 'python'
    active.parent.mkdir(parents=True)
    shutil.copy(checkout.programs / 'python3', active)
    note = f'set-up: other tools use the active environment {tmp_path}/active, not .venv: '
    assert note in set_up(VIRTUAL_ENV=tmp_path / 'active').stdout
    assert 'use the active environment' not in set_up(VIRTUAL_ENV=checkout.folder / '.venv').stdout
    assert 'use the active environment' not in set_up().stdout


def test_a_tool_is_run_by_its_first_line():
    environment = dict(os.environ, PYTHON=sys.executable)
    ended = subprocess.run([str(TOOLS / 'train.py')], env=environment, capture_output=True, text=True)
    assert ended.returncode == 2 and 'train.py: error: the following arguments are required: config' in ended.stderr
