"""Tools that start tools, all within one process: each that is started would import everything again."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

from tests.tools.commands import call


def start_tools_here(monkeypatch) -> SimpleNamespace:
    """Have tools/readings.py call the tools that it would start.

    Returns:
        ``runs``: pairs of tool and folder (its last two parts), as they are started; ``cut_off``: part of the folder of
        a training that is to be killed after its first epoch.
    """
    state = SimpleNamespace(cut_off=None, runs=[])

    def run(command, stdout, **_):
        tool, arguments = Path(command[1]).stem, command[2:]
        folder = arguments[arguments.index('--work-dir') + 1]
        state.runs.append((tool, '/'.join(Path(folder).parts[-2:])))
        stop = tool == 'train' and state.cut_off and state.cut_off in folder
        ended = call(tool, *arguments, *(['train_cfg.max_epochs=1'] if stop else []))
        stdout.write(f'{ended.out}{ended.err}{"killed" if stop else ""}')
        return SimpleNamespace(returncode=1 if stop else ended.code)

    monkeypatch.setattr(importlib.import_module('readings').subprocess, 'run', run)
    return state
