"""The benchmark of failures: the harms that end a run at once."""

from __future__ import annotations

import pytest

from mae_transfer.benchmarks.failures import endings
from mae_transfer.data.scenes.quickstart import write_scenes


@pytest.mark.slow
@pytest.mark.parametrize(
    'only, code, line', [('Ctrl-C', 130, 'stopped by SIGINT'), ('worker killed, 2', 1, "error: a data loader's worker")]
)
def test_a_harm_is_done_and_its_ending_is_told(only, code, line, tmp_path):
    write_scenes(tmp_path, photos=24, train=1, val=1, size=64)
    [(name, ending)] = endings(tmp_path, only)
    assert only in name and ending.code == code and ending.seconds < 60
    [found] = ending.lines
    assert found.startswith(line)
