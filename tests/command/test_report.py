"""``mae-transfer report``: what it writes and says."""

from __future__ import annotations

from tests.command.calls import command
from tests.reporting.runs import write_classifier
from tests.tools.commands import error_line


def test_a_report_is_written_and_named(tmp_path):
    for name in 'ab':
        write_classifier(tmp_path / name)
    ended = command('report', tmp_path / 'a', tmp_path / 'b', '--out', tmp_path / 'new' / 'report.html')
    assert ended.code == 0 and ended.out.startswith(f'2 runs: {tmp_path}/new/report.html, 0.'), ended.err
    assert (tmp_path / 'new' / 'report.html').read_text().startswith('<!DOCTYPE html>')


def test_a_mistake_is_one_line(tmp_path):
    assert 'there is no run' in error_line(command('report', tmp_path / 'no', '--out', tmp_path / 'report.html'))
    assert '--out' in error_line(command('report', tmp_path))
