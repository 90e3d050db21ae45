"""Time of an exported ViT next to PyTorch's."""

import re
import sys

import pytest

from mae_transfer.benchmarks import exported_speed
from mae_transfer.errors import UserError


def test_a_row_for_each_batch_and_size(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['', '--arch', '32x2x2', '--rounds', '2', '--batches', '1', '2'])
    exported_speed.main()
    printed = capsys.readouterr().out
    assert re.match(r'onnx, \d\.\d MiB, written and checked in \d+ s; largest difference \de-\d\d\n', printed)
    rows = re.findall(
        r'^\| (\d) \| (\d+ x \d+) \| \d+ \| \d+ \| [\d.]+ \([\d.]+ to [\d.]+\) \|$', printed, re.MULTILINE
    )
    assert rows == [(batch, size) for batch in '12' for size in ('224 x 224', '160 x 288')]


@pytest.mark.parametrize('options, words', [(['--rounds', '0'], 'must be 1'), (['--sizes', '224'], 'HEIGHTxWIDTH')])
def test_bad_options(options, words, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['', *options])
    with pytest.raises(UserError, match=words):
        exported_speed.main()
