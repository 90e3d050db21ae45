"""mae_transfer: one Vision Transformer, pre-trained by masking, read everywhere.

import mae_transfer

run = mae_transfer.pretrain('photos', 'work_dirs/mae', 'base')
detector = mae_transfer.finetune('detect', 'boxes', run.work_dir, 'work_dirs/detector')
print(mae_transfer.test(detector))
"""

from __future__ import annotations

from .starting import Starting

with Starting():
    from importlib import import_module
    from typing import TYPE_CHECKING, Any

    from .version import __version__

if TYPE_CHECKING:
    from .api.training import finetune, pretrain, test
    from .exploring.explore import explore
    from .exporting.export import export
    from .inference.embedding import embed
    from .inference.prediction import predict
    from .inference.reconstructions import reconstruct
    from .inference.trained import load
    from .reporting.report import report

#: The calls, and the modules that have them. These are imported when they are asked for: torch takes seconds.
_CALLS = {
    'embed': 'inference.embedding',
    'explore': 'exploring.explore',
    'export': 'exporting.export',
    'finetune': 'api.training',
    'load': 'inference.trained',
    'predict': 'inference.prediction',
    'pretrain': 'api.training',
    'reconstruct': 'inference.reconstructions',
    'report': 'reporting.report',
    'test': 'api.training',
}

__all__ = [
    '__version__',
    'compat',
    'embed',
    'explore',
    'export',
    'finetune',
    'load',
    'predict',
    'pretrain',
    'reconstruct',
    'registry',
    'report',
    'test',
]

try:
    with Starting():
        from . import compat, registry
except ImportError as error:
    # Without MMEngine only `mae-transfer doctor` works, which says what is missing; all else fails where it imports it.
    if (error.name or __name__).partition('.')[0] == __name__:
        raise
else:
    # Before anything imports mmcv.ops or loads a checkpoint, in this process and in every worker that unpickles our
    # classes.
    compat.install()


def __getattr__(name: str) -> Any:
    if name not in _CALLS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_CALLS[name]}', __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_CALLS})
