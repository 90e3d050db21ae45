"""Configs of MAE pre-trainings."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import MODELS

from ..errors import UserError
from ..kinds import is_kind
from ..pretraining import MAE


def check_pretraining(cfg: Config) -> None:
    """Check that a config is that of an MAE pre-training.

    Raises:
        UserError: its model is not an MAE.
    """
    if not is_kind(cfg.get('model'), MODELS, cfg.get('default_scope'), MAE):
        raise UserError(f'{cfg.filename} is not a pre-training config: its model is not an MAE')
