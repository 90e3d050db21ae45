"""All checks, in their order."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial

from .finding import Finding, run_check

#: (module of this room, check, what it looks at, whether the package cannot do without it).
CHECKS = (
    ('packages', 'python', 'Python', True),
    ('packages', 'needed', 'packages', True),
    ('packages', 'originals', "OpenMMLab's own packages", True),
    ('packages', 'extras', 'extras', False),
    ('devices', 'gpus', 'GPU', False),
    ('devices', 'cpu', 'CPU', False),
    ('devices', 'native_ops', 'native operators', True),
    ('devices', 'compiler', 'compiler', False),
    ('images', 'jpeg_decoder', 'JPEG', True),
    ('images', 'formats', 'formats of Pillow', False),
    ('images', 'tiff', 'TIFF bands', True),
    ('machine', 'disk', 'disk', False),
    ('machine', 'shared_memory', 'shared memory', False),
    ('machine', 'open_files', 'open files', False),
)


def examine() -> Iterator[Finding]:
    """What all checks find, one after the other; none raises."""
    for module, check, name, is_needed in CHECKS:
        yield from run_check(module, name, partial(_check, module, check), is_needed)


def _check(module: str, name: str) -> Iterator[Finding]:
    # Imported here, within the check: what a module imports may be missing, too.
    yield from getattr(importlib.import_module(f'{__package__}.{module}'), name)()
