"""The config of a run, from its checkpoint."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ..errors import UserError, shorten
from ..paths import shown
from ..settings import change_settings, read_config
from ..vit.weights.checkpoint import read_checkpoint
from ..vit.weights.stated_config import stated_settings


def config_of_run(checkpoint: Path) -> Config:
    """The config of the run that wrote a checkpoint: the one config file beside it, else the one inside, parsed, never
    run.

    Raises:
        UserError: there is none, or several beside and none inside.
    """
    beside = sorted(checkpoint.parent.glob('*.py'))
    if len(beside) == 1:
        return read_config(beside[0])
    settings = stated_settings(read_checkpoint(checkpoint).get('meta'))
    if settings is None:
        there = f'{len(beside)} beside it ({shorten(file.name for file in beside)})' if beside else 'none beside it'
        raise UserError(
            f'{shown(checkpoint)} has no config inside, and {there}: give the work_dir of a training, or a checkpoint '
            'that a run wrote'
        )
    return change_settings(Config(settings, filename=str(checkpoint.with_suffix('.py'))), [])
