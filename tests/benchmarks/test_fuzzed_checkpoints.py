"""Damaged and malicious checkpoint files are read or refused in one line."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest

from mae_transfer.benchmarks.fuzzed_checkpoints import case, changed, originals, read_case


@pytest.fixture(scope='module')
def files():
    return originals()


def test_every_format_is_read_as_it_was_written(files, tmp_path):
    for number in range(1000):
        kind, content = case(number, files)
        if content == files[kind]:  # what was changed is not there
            assert read_case(number, files, tmp_path)[:2] == (kind, 'read')
            return
    pytest.fail('no case leaves its file as it is')


def test_a_case_follows_from_its_number(files):
    assert [case(number, files) for number in range(20)] == [case(number, files) for number in range(20)]
    assert len({changed(files['torch'], random.Random(number)) for number in range(20)}) > 15


def test_files_are_read_or_refused(files, tmp_path):
    readings = [read_case(number, files, tmp_path) for number in range(400)]
    assert [number for number, reading in enumerate(readings) if reading.outcome not in ('read', 'refused')] == []
    counts = Counter(reading[:2] for reading in readings)
    assert all(counts[kind, 'refused'] > 20 for kind in files) and sum(counts[kind, 'read'] for kind in files) > 20
    assert all(max(reading.memory for reading in readings if reading.kind == kind) > 200_000 for kind in files)


@pytest.mark.parametrize('number', [229, 392, 424])
def test_names_in_a_zip_that_are_no_text_are_refused(files, tmp_path, number):
    """Python's zipfile raises UnicodeDecodeError for them."""
    assert read_case(number, files, tmp_path).outcome == 'refused'


@pytest.mark.slow
def test_ten_thousand_files():
    command = [sys.executable, '-m', 'mae_transfer.benchmarks.fuzzed_checkpoints', '--cases', '10000']
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
