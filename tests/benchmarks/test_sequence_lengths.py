"""Time of a block by the number of tokens."""

import re
import sys

import pytest

from mae_transfer.benchmarks import sequence_lengths
from mae_transfer.errors import UserError


@pytest.mark.parametrize('options', [[], ['--test']])
def test_every_number_of_tokens_has_a_row(options, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['', '--arch', 'tiny', '--tokens', '5', '9', '--rounds', '1', *options])
    sequence_lengths.main()
    rows = re.findall(r'^\| (\d+) \| ([\d.e+]+) \| ([\d.e+]+) \| ([\d.]+) \|$', capsys.readouterr().out, re.MULTILINE)
    assert [row[0] for row in rows] == ['5', '9'] and all(float(cell) > 0 for row in rows for cell in row)


def test_numbers_below_one_are_refused(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['', '--tokens', '0'])
    with pytest.raises(UserError, match='must be 1 or more'):
        sequence_lengths.main()
