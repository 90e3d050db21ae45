"""mae-transfer doctor: its report, its exit code, and that nothing which is missing ends it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from mae_transfer.doctor import examination
from mae_transfer.doctor.finding import Finding
from tests.command.calls import command
from tests.tools.commands import REPOSITORY


def test_all_that_is_needed_works_here():
    ended = command('doctor')
    lines = ended.out.splitlines()
    assert ended.code == 0 and lines[-1] == 'all that is needed works', ended.out + ended.err
    assert [line for line in lines if line[0] != ' '][:-1] == ['packages:', 'devices:', 'images:', 'machine:']
    assert all(line.split()[0] in ('ok', 'missing', 'wrong') for line in lines if line[0] == ' ')


def test_json():
    ended = command('doctor', '--json')
    found = json.loads(ended.out)
    assert ended.code == 0 and len(found) > 20
    assert all({*finding} == {'topic', 'name', 'state', 'found', 'advice', 'needed'} for finding in found)
    assert any(finding['name'] == 'torch' for finding in found)


@pytest.mark.parametrize('needed', [True, False])
def test_the_exit_code_tells_of_what_is_needed(needed, monkeypatch):
    findings = [Finding('packages', 'timm', 'missing', 'not installed', 'pip install timm', needed)]
    monkeypatch.setattr(examination, 'examine', lambda: iter(findings))
    ended = command('doctor')
    assert ended.code == needed
    last = 'timm: needed, and missing or wrong' if needed else 'all that is needed works'
    assert ended.out.splitlines() == ['packages:', '  missing  timm: not installed: pip install timm', last]


@pytest.mark.parametrize('missing', ['torch', 'mmengine', 'packaging'])
def test_nothing_that_is_missing_ends_it(missing):
    """In a process of its own, in which a package cannot be imported."""
    code = f'import sys; sys.modules["{missing}"] = None; from mae_transfer.command.main import main; main(["doctor"])'
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY)}
    ended = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1 and 'Traceback' not in ended.stderr, ended.stderr
    assert ended.stdout.splitlines()[-1].endswith(': needed, and missing or wrong')
    assert re.search(f'(import of |No module named .){missing}', ended.stdout) and 'machine:' in ended.stdout
