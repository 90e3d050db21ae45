"""What the launcher tells and returns; real processes are in tests/tools/test_process_failures.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mae_transfer.compat.torchrun import _tell


@pytest.mark.parametrize(
    'codes, is_told, left, code, line',
    [
        ({0: 2, 1: -15}, True, '', 2, ''),  # a mistake; torchrun ended the other one
        ({1: -15, 0: 2}, True, 'error: another', 2, ''),
        ({0: 1, 1: -9}, False, 'error: another', 137, 'error: process 1 was ended by SIGKILL, as the system does'),
        ({0: -11}, False, '', 139, 'error: process 0 was ended by SIGSEGV: go on by --resume'),
        ({0: 1, 1: -9}, True, '', 1, ''),  # it stood still, which is told, and was killed by torchrun
        ({0: 1, 1: 1}, False, 'error: another', 1, 'error: another'),
        ({0: -15}, False, '', 1, ''),
    ],
)
def test_one_line_tells_the_cause(codes, is_told, left, code, line, capsys):
    failures = {rank: SimpleNamespace(exitcode=value) for rank, value in codes.items()}
    assert _tell(SimpleNamespace(failures=failures), is_told, left) == code
    found = capsys.readouterr().err
    assert found.startswith(line) and found.count('\n') == bool(line)
