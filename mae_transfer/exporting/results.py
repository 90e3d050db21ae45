"""What an export wrote, and how it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..paths import shown


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        files: the files, the one to open first.
        format: 'onnx', 'timm' or 'transformers'.
        checked: what the files were compared with ours on, in words.
        difference: the largest difference found, relative to the largest of our values, or to 1 where these are
            smaller.
        notes: what a user should know.
    """

    files: tuple[Path, ...]
    format: str
    checked: str
    difference: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = sum(file.stat().st_size for file in self.files if file.exists()) / 2**20
        line = f'{shown(self.files[0])}: {self.format}, {size:.1f} MiB; {self.checked}: equal to {self.difference:.0e}'
        return '\n'.join([line, *self.notes])


def need(format: str, *packages: str) -> None:
    """Raise ``UserError``, with what to install, unless all packages are there."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(
            f"format='{format}' needs {' and '.join(missing)}, which is not installed: pip install "
            "'mae_transfer[export]'"
        )
