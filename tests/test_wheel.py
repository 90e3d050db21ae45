"""The package as a wheel, away from the checkout: configs and tools come along."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tools.commands import REPOSITORY, small, write_photos

CONFIGS = {
    'my_pretraining.py': "_base_ = 'mae_transfer::mae_pretrain_vitb.py'\ndata_root = 'photos'\n",
    'my_detector.py': "_base_ = 'mae_transfer::coco_maskrcnn_vitb.py'\ndata_root = 'data/mine'\nmax_epochs = 12\n",
}
READ = """
import mae_transfer
from mae_transfer.settings import read_config

cfg = read_config('my_detector.py', ['image_size=512'])
print(mae_transfer.__file__, cfg.train_dataloader.dataset.data_root, cfg.train_cfg.max_epochs)
print(cfg.model.data_preprocessor.pad_size_divisor)
"""


def run(*command, cwd: Path, **environment) -> str:
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**{name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}, **environment},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def tracked(folder: str) -> set[str]:
    """The files below a folder of the checkout, relative to it, without what Python leaves there."""
    root = REPOSITORY / folder
    return {
        str(path.relative_to(root)) for path in root.rglob('*') if path.is_file() and '__pycache__' not in path.parts
    }


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """A wheel, built from a copy: building writes into the tree."""
    folder = tmp_path_factory.mktemp('wheel')
    copy = folder / 'source'
    copy.mkdir()
    for name in ('README.md', 'LICENSE', 'setup.cfg', 'pyproject.toml'):
        shutil.copy(REPOSITORY / name, copy)
    for name in ('mae_transfer', 'configs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(REPOSITORY / name, copy / name, symlinks=True, ignore=ignored)
    options = ('--no-deps', '--no-build-isolation', '--quiet', '--wheel-dir', folder)
    run(sys.executable, '-m', 'pip', 'wheel', *options, copy, cwd=folder)
    return next(folder.glob('*.whl'))


def test_a_wheel_holds_every_config_and_tool(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        tool = archive.getinfo('mae_transfer/.mim/tools/train.py')
    for folder in ('configs', 'tools'):
        assert {f'mae_transfer/.mim/{folder}/{name}' for name in tracked(folder)} <= names
    assert {'mae_transfer/py.typed', 'mae_transfer/.mim/model-index.yml'} <= names
    assert {f'mae_transfer/reporting/page.{suffix}' for suffix in ('html.jinja', 'css', 'js')} <= names
    assert not [name for name in names if name.split('/')[0] in ('tests', 'configs', 'tools')]
    assert tool.external_attr >> 16 & 0o111, 'is not executable'


def pretrain(site: Path, folder: Path, **environment) -> None:
    """Train by the installed tool, from a config of the user's that stands on an installed one."""
    for name, text in CONFIGS.items():
        (folder / name).write_text(text)
    tool = site / 'mae_transfer' / '.mim' / 'tools' / 'train.py'
    options = small(write_photos(folder / 'photos', 10), work_dir='run')
    run(tool, 'my_pretraining.py', *options, cwd=folder, **environment)
    assert (folder / 'run' / 'epoch_1.pth').is_file()


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory) -> Path:
    """The wheel, installed."""
    folder = tmp_path_factory.mktemp('site')
    run(sys.executable, '-m', 'pip', 'install', '--no-deps', '--quiet', '--target', folder, wheel, cwd=folder)
    return folder


def test_configs_and_tools_work_from_a_wheel(site, tmp_path):
    pretrain(site, tmp_path, PYTHONPATH=str(site), PYTHON=sys.executable)


def test_the_command_works_from_a_wheel_in_an_empty_folder(site, tmp_path):
    settings = [word for word in small(tmp_path, 8)[1:] if not word.startswith('data_root=')]
    write_photos(tmp_path / 'photos', 10)
    said = run(
        site / 'bin' / 'mae-transfer', 'pretrain', 'photos', 'run', *settings, cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert said.splitlines()[-1] == f'config: {tmp_path}/run/mae_pretrain_vitb.py'
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


@pytest.mark.slow
def test_a_wheel_installs_into_an_empty_environment(wheel, tmp_path):
    """With all it needs from the package index: some minutes, 5 GB."""
    run(sys.executable, '-m', 'venv', tmp_path / 'venv', cwd=tmp_path)
    python = tmp_path / 'venv' / 'bin' / 'python'
    constraints = REPOSITORY / 'requirements' / 'constraints.txt'
    install = (python, '-m', 'pip', 'install', '--quiet', '--constraint', constraints)
    run(*install, '--no-cache-dir', 'onedl-mmcv', cwd=tmp_path, MMCV_WITH_OPS='0')
    run(*install, wheel, cwd=tmp_path)
    site = next((tmp_path / 'venv').glob('lib/*/site-packages'))
    pretrain(site, tmp_path, PYTHON=str(python))
    found = run(python, '-c', READ, cwd=tmp_path).splitlines()
    assert found[-2:] == [f'{site}/mae_transfer/__init__.py data/mine 12', '512']
