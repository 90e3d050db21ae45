"""Tools that start other tools, all in one process: each new process would import everything again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from mae_transfer.experiments import tool_runs
from tests.tools.commands import call


def start_tools_here(monkeypatch) -> SimpleNamespace:
    """Have ``run_once`` call tools in this process instead of starting processes.

    Returns:
        ``runs``: pairs of tool and folder (its last two parts), in the order of the calls; ``commands``: the arguments
        of each call; ``interrupted``: set it to a part of a folder's name to end that training after its first epoch.
    """
    state = SimpleNamespace(interrupted=None, runs=[], commands=[])

    def run(command, stdout, **_):
        tool, arguments = Path(command[1]).stem, command[2:]
        folder = arguments[arguments.index('--work-dir') + 1]
        state.runs.append((tool, '/'.join(Path(folder).parts[-2:])))
        state.commands.append(arguments)
        stop = tool == 'train' and state.interrupted and state.interrupted in folder
        ended = call(tool, *arguments, *(['max_epochs=1'] if stop else []))
        stdout.write(f'{ended.out}{ended.err}{"killed" if stop else ""}')
        return SimpleNamespace(returncode=1 if stop else ended.code)

    monkeypatch.setattr(tool_runs, 'subprocess', SimpleNamespace(run=run, STDOUT=None))
    return state
