"""Lets configs refer to ours, as in ``_base_ = 'mae_transfer::coco_maskrcnn_vitb.py'``, which MMEngine supports only
for OpenMMLab's packages."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config

from ..errors import UserError
from ..paths import user_path

PREFIX = 'mae_transfer::'
#: Folder of the package's configs, as in OpenMMLab's packages: a link in a checkout, a copy in a wheel.
CONFIGS = Path(__file__).resolve().parents[1] / '.mim' / 'configs'

_find_in_openmmlab = Config._get_cfg_path


def install() -> None:
    """Make MMEngine find our configs by the package's name; idempotent.

    Such a base sets no registry scope, unlike OpenMMLab's: our configs for MMDetection and MMSegmentation set their own
    ``default_scope``, which the config that refers to them inherits.
    """
    Config._get_cfg_path = staticmethod(_find)


def _find(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """Path and registry scope of a base config, as MMEngine's ``Config._get_cfg_path``."""
    if cfg_path.startswith(PREFIX):
        return str(config_path(cfg_path)), None
    return _find_in_openmmlab(cfg_path, filename)


def config_path(name: str) -> Path:
    """The file of a config, by its name below ``configs/`` with or without the prefix of the package."""
    return CONFIGS / name.removeprefix(PREFIX)


def find_config(name: str | Path, option: str = '') -> Path:
    """The file of a config, which a user gives by its path or as ``mae_transfer::NAME.py``.

    Args:
        option: the command-line option that names the config, for the error message; '' for none.

    Raises:
        UserError: there is no such file.
    """
    path = config_path(str(name)) if str(name).startswith(PREFIX) else user_path(name, option or 'config')
    if not os.path.isfile(path):
        prefix = f'{option}: ' if option else ''
        fault = 'is a folder: name a file' if os.path.isdir(path) else 'does not exist'
        raise UserError(f'{prefix}config {name} {fault}; the configs are in configs/')
    return path


def config_name(path: str | None) -> str | None:
    """The name of a config's file: of the package's own 'mae_transfer::NAME.py', otherwise its path."""
    if path is None:
        return None
    resolved, configs = Path(path).resolve(), CONFIGS.resolve()
    return PREFIX + resolved.relative_to(configs).as_posix() if resolved.is_relative_to(configs) else path
