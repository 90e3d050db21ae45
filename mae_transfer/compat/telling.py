"""Which of several processes tells why a run ended, so that one line says it.

A process that knows the cause tells it, unless another one has. One that only knows that others have ended leaves its
line to the launcher, if that is tools/dist_train.sh (``compat.torchrun``), which tells it if nobody knew more. They
leave files for each other, in a folder of the launcher.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

#: The id of the launcher's process, which tells for those that it has started.
_LAUNCHER = 'MAE_TRANSFER_LAUNCHER'


def has_several_processes() -> bool:
    """Whether this process was started as one of several."""
    return max(int(os.environ.get(name, 1)) for name in ('WORLD_SIZE', 'SLURM_NTASKS')) > 1


def is_first_to_tell() -> bool:
    """Whether no other process of the run on this machine has asked this before."""
    if not has_several_processes():
        return True
    try:
        _file('told').touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # a full disk: better told twice than not at all
        return True
    return True


def leave_to_launcher(line: str) -> bool:
    """Leave a line to the launcher; False if this process must tell itself."""
    if os.environ.get(_LAUNCHER) != str(os.getppid()):
        return False
    try:
        _file('left').write_text(line)
    except OSError:
        return False
    return True


def tell_for(launcher: int) -> None:
    """Let the processes that the one with this id will start know that it tells for them."""
    os.environ[_LAUNCHER] = str(launcher)


def what_was_told(launcher: int) -> tuple[bool, str]:
    """What the processes of a launcher have told since they were last started.

    Returns:
        Whether one has told why it ended; the line that was left to the launcher, '' for none.
    """
    folder = _folder(launcher)
    restarts = max((path.suffix for path in folder.glob('*')), key=lambda suffix: int(suffix[1:]), default='.0')
    told, left = folder / f'told{restarts}', folder / f'left{restarts}'
    return told.exists(), left.read_text() if left.exists() else ''


def forget_told(launcher: int) -> None:
    """Forget what the processes of a launcher have told."""
    shutil.rmtree(_folder(launcher), ignore_errors=True)


def _file(name: str) -> Path:
    folder = _folder(os.getppid())
    folder.mkdir(exist_ok=True)
    return folder / f'{name}.{os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)}'


def _folder(launcher: int) -> Path:
    job = '_'.join(os.environ.get(name, '') for name in ('SLURM_JOB_ID', 'SLURM_STEP_ID'))
    return Path(tempfile.gettempdir(), f'mae_transfer_{os.getuid()}_{launcher}_{job}')
