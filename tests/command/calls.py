"""Calls of ``mae-transfer`` in this process, which saves the seconds that importing takes."""

from __future__ import annotations

import contextlib
import io
import os
from unittest import mock

from mae_transfer.command.main import main
from tests.helpers import forget_instances
from tests.tools.commands import Ended, unwrapped


def command(*words) -> Ended:
    """Run ``mae-transfer WORDS``."""
    forget_instances()  # a process of its own has none yet
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ),
        # Half of a small run's time goes into collecting versions and formatting the config: leave that out.
        mock.patch('mmengine.runner.runner.collect_env', dict),
        mock.patch('yapf.yapflib.yapf_api.FormatCode', lambda text, **style: (text, True)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code or 0
        finally:
            forget_instances()  # their handlers write to the buffers above
    return Ended(code, unwrapped(out.getvalue()), err.getvalue())
