"""Packages that are missing, too old, broken, or in each other's way."""

from __future__ import annotations

import sys
from configparser import ConfigParser
from email.message import Message
from importlib import metadata

import pytest

from mae_transfer.doctor import packages
from tests.tools.commands import REPOSITORY

FOUND = metadata.version


@pytest.fixture
def versions(monkeypatch):
    """{name of a package: another version, or None for not installed}, changed by the test."""
    changed: dict[str, str | None] = {}

    def version(name):
        if name not in changed:
            return FOUND(name)
        if changed[name] is None:
            raise metadata.PackageNotFoundError(name)
        return changed[name]

    monkeypatch.setattr(metadata, 'version', version)
    return changed


def named(check) -> dict:
    return {finding.name: finding for finding in check()}


def setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read(REPOSITORY / 'setup.cfg')
    return parser


def test_what_is_needed_is_what_setup_cfg_says_and_works_here():
    found = named(packages.needed)
    lines = [line for line in setup()['options']['install_requires'].split('\n') if line and line[0] != '#']
    assert [name for name in found] == [line.partition('>')[0] for line in lines]
    assert {finding.state for finding in found.values()} == {'ok'}
    assert found['torch'].found == FOUND('torch') and all(finding.needed for finding in found.values())


def test_a_package_that_is_missing_has_a_command(versions):
    versions['timm'] = None
    found = named(packages.needed)['timm']
    assert (found.state, found.advice) == ('missing', "pip install 'timm>=1.0'") and found.is_failure


def test_one_that_is_too_old(versions):
    versions['timm'] = '0.9.16'
    found = named(packages.needed)['timm']
    assert (found.state, found.found, found.advice) == ('wrong', '0.9.16 is too old', "pip install -U 'timm>=1.0'")


def test_a_local_version_is_none_that_is_too_old(versions):
    versions['torch'] = '2.11.0+cpu'
    assert named(packages.needed)['torch'].state == 'ok'


def test_one_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tifffile', None)
    found = named(packages.needed)['tifffile']
    assert found.state == 'wrong' and 'cannot be imported, ModuleNotFoundError: ' in found.found and found.is_failure
    assert found.advice == "pip install --force-reinstall --no-deps 'tifffile>=2023.7'"


def test_one_that_lacks_another(monkeypatch):
    def without(name):
        raise ModuleNotFoundError("No module named 'addict'", name='addict')

    monkeypatch.setattr(packages.importlib, 'import_module', without)
    found = named(packages.needed)['timm']
    assert found.state == 'wrong' and found.advice == 'it needs addict: install that first'


def test_originals_beside_the_maintained_packages(versions):
    versions.update(dict.fromkeys(('mmengine', 'mmcv', 'mmdet', 'mmsegmentation')))
    assert not named(packages.originals)
    versions.update(mmcv='2.1.0')
    found = named(packages.originals)
    assert list(found) == ['mmcv'] and found['mmcv'].is_failure
    assert found['mmcv'].advice == 'pip uninstall mmcv, then pip install --force-reinstall --no-deps onedl-mmcv'


def test_another_python(monkeypatch):
    assert [finding.state for finding in packages.python()] == ['ok']
    monkeypatch.setattr(packages.platform, 'python_version', lambda: '3.9.18')
    (found,) = packages.python()
    assert (found.state, found.advice) == ('wrong', 'make an environment with Python >=3.10')


def test_every_extra_of_a_user_is_looked_at():
    assert {*setup()['options.extras_require']} - {'tests'} == {*packages.EXTRAS}
    assert [finding.name for finding in packages.extras()] == [f'extra {name}' for name in packages.EXTRAS]


def test_an_extra_that_is_missing_has_the_command_of_pip(monkeypatch):
    monkeypatch.setitem(sys.modules, 'simplejpeg', None)
    monkeypatch.setattr(packages.importlib.util, 'find_spec', lambda name: None if name == 'simplejpeg' else object())
    found = named(packages.extras)
    assert {finding.name for finding in found.values() if finding.state != 'ok'} == {'extra fast'}
    fast = found['extra fast']
    assert fast.state == 'missing' and 'without simplejpeg (' in fast.found and not fast.is_failure
    assert fast.advice == "pip install 'mae_transfer[fast]'"


def test_an_installed_package_states_the_same_as_a_checkout(monkeypatch, tmp_path):
    python, needed, extras = packages.stated_requirements()
    stated = Message()
    stated['Requires-Python'] = python
    lines = [*map(str, needed)]
    for name, listed in extras.items():
        stated['Provides-Extra'] = name
        lines += [f'{one}; extra == "{name}"' for one in listed]
    monkeypatch.setattr(metadata, 'metadata', lambda name: stated)
    monkeypatch.setattr(metadata, 'requires', lambda name: lines)
    monkeypatch.setattr(packages, '__file__', str(tmp_path / 'a' / 'b' / 'packages.py'))
    found = packages.stated_requirements()
    assert found[:2] == (python, needed)
    names = {name: [(one.name, one.specifier) for one in listed] for name, listed in found[2].items()}
    assert names == {name: [(one.name, one.specifier) for one in listed] for name, listed in extras.items()}
