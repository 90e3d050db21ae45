"""What ``import mae_transfer`` offers, and what it leaves for later."""

import subprocess
import sys
from pathlib import Path

import pytest

import mae_transfer
from mae_transfer import _CALLS

PACKAGE = Path(mae_transfer.__file__).parent


def test_importing_the_package_needs_no_torch():
    code = (
        "import sys, mae_transfer; dir(mae_transfer); print([name for name in ('torch', 'cv2') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == '[]\n'


@pytest.mark.parametrize('name', _CALLS)
def test_every_call_is_there_and_is_listed(name):
    assert callable(getattr(mae_transfer, name)) and name in mae_transfer.__all__ and name in dir(mae_transfer)


def test_no_call_has_the_name_of_a_room():
    """An imported module would take its place in the package."""
    rooms = {path.stem for path in PACKAGE.iterdir()}
    assert not rooms & _CALLS.keys()
