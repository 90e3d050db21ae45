"""The config of a run, from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..errors import CheckpointError, UserError, shorten
from ..paths import shown
from ..settings import read_config
from ..vit.weights.checkpoint import read_weights
from ..vit.weights.stated_config import stated_settings


def config_of_run(path: Path, checkpoint: Mapping) -> Config:
    """The config of the run that wrote a checkpoint: the one inside, which is parsed, never run; of a checkpoint
    without one the only config file in the same folder. ``filename`` is that file's, or None.

    Args:
        path, checkpoint: the file, and what it holds.

    Raises:
        UserError: there is none; it is of no run; modules that it names cannot be imported.
    """
    beside = sorted(path.parent.glob('*.py'))
    if (settings := stated_settings(checkpoint.get('meta'))) is not None:
        cfg = Config(settings, filename=str(beside[0]) if len(beside) == 1 else None)
        _import_modules(cfg, path)
    elif len(beside) == 1:
        cfg = read_config(beside[0])
    else:
        raise _without_config(path, beside)
    if not isinstance(cfg.get('model'), Mapping):
        raise UserError(f'{shown(path)}: its config is of no run, as it has no model')
    return cfg


def _without_config(path: Path, beside: list[Path]) -> UserError:
    if beside:
        names = shorten(file.name for file in beside)
        return UserError(
            f'{shown(path)} has no config inside, and there are {len(beside)} beside it ({names}): leave the one of '
            'its run in that folder'
        )
    try:
        what = f'a ViT ({read_weights(path).layout})'
    except CheckpointError:
        what = 'weights'
    return UserError(
        f'{shown(path)} holds {what} without the config of a run, inside or beside it: give the work_dir of a '
        'training, or a checkpoint that a run wrote; to use a ViT alone, fine-tune it first (pretrained=...), or embed '
        'images by it, with its size (arch=...)'
    )


def _import_modules(cfg: Config, path: Path) -> None:
    """Import what ``custom_imports`` of a config names, as reading a config file does; raises ``UserError``."""
    imports = cfg.get('custom_imports')
    if imports:
        try:
            import_modules_from_strings(**imports)
        except ImportError as error:
            raise UserError(
                f'{shown(path)}: {error}: check custom_imports, and that PYTHONPATH has the folder of it'
            ) from error
