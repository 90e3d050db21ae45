"""Running tools/train.py and tools/test.py, each run once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..compat.package_configs import CONFIGS
from ..errors import UserError

#: The package's tools: next to its configs, both in a checkout and in a wheel.
TOOLS = CONFIGS.resolve().with_name('tools')


def package_file(*names: str) -> str:
    """The path of a file that comes with the package, e.g. ``package_file('tools', 'train.py')``.

    It is relative where the file is below the current folder, as a user would type it, and absolute otherwise.
    """
    path = TOOLS.parent.joinpath(*names)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def run_once(folder: Path, tool: str, arguments: Sequence[str], name: str = '') -> bool:
    """Run a tool, unless an earlier call has completed this run: then its folder has the file ``done``.

    The tool's output goes to ``log.txt`` in the folder.

    Args:
        folder: the run's ``--work-dir``.
        tool: 'train' or 'test'.
        arguments: the tool's command line; paths are relative to the current folder.
        name: the run's name in messages; default the folder's name.

    Returns:
        Whether the tool was run by this call.

    Raises:
        UserError: the tool failed.
    """
    if (folder / 'done').exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    name, log = name or folder.name, folder / 'log.txt'
    print(f'{name} ...', flush=True)
    with open(log, 'w', encoding='utf-8') as file:
        command = [sys.executable, str(TOOLS / f'{tool}.py'), *arguments]
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        last = log.read_text(encoding='utf-8').strip().splitlines()[-1:]
        raise UserError(f'{name} ended with exit code {code}: {" ".join(last).removeprefix("error: ")} ({log})')
    (folder / 'done').touch()
    return True
