"""The benchmark of a million photos, with three hundred."""

from __future__ import annotations

import pytest

from mae_transfer.benchmarks.million_photos import Resumed, memory_rows, write_photos


def test_memory_is_measured_for_each_kind(tmp_path):
    write_photos(tmp_path / 'photos', 300)
    assert len(list((tmp_path / 'photos' / 'train').rglob('*.jpg'))) == 300
    rows = list(memory_rows(tmp_path / 'photos', 2))
    assert [count for _, count, _, _ in rows] == [300] * 3
    assert all(100 < before < after + 50 < 5000 for _, _, before, after in rows)


@pytest.mark.slow
def test_a_resumed_run_is_in_the_middle_of_its_epoch(tmp_path):
    write_photos(tmp_path / 'photos', 2000)
    run = Resumed(tmp_path / 'photos', tmp_path / 'run')
    assert run.first_step()[1] == 1
    run.move_to_the_middle()
    seconds, step = run.first_step()
    assert step == 2000 // 64 // 2 + 1 and 0 < seconds < 120
