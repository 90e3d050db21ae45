"""Ctrl-C while the command is being imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mae_transfer

REPOSITORY = Path(mae_transfer.__file__).parents[1]


def heed_ctrl_c() -> None:
    """As in a terminal: what a script starts in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    'words, code, err',
    [
        (('-m', 'mae_transfer.command', '--version'), 130, 'stopped by Ctrl-C\n'),
        (('mae-transfer', '--version'), 130, 'stopped by Ctrl-C\n'),
        (('-c', 'import mae_transfer'), -2, 'KeyboardInterrupt\n'),
    ],
)
def test_it_is_one_line_of_the_command_and_an_exception_elsewhere(words, code, err, tmp_path):
    # The first package that takes long is stopped, as if at that moment.
    (tmp_path / 'mmengine.py').write_text(
        'import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n'
    )
    (tmp_path / 'mae-transfer').write_text('from mae_transfer.command.main import main\nmain()\n')
    places = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=places),
        capture_output=True,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    assert ended.returncode == code and ended.stderr.endswith(err)
    assert ('Traceback' in ended.stderr) == (code != 130)
