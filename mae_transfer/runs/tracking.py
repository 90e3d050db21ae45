"""Figures of a run in TensorBoard, Weights & Biases or MLflow: the setting ``track``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from mmengine.registry import VISBACKENDS as ROOT
from mmengine.visualization import MLflowVisBackend, TensorboardVisBackend, WandbVisBackend

from ..errors import UserError
from ..kinds import is_kind

#: What ``track`` may name: MMEngine's backend, and the package that it writes with.
TRACKERS: dict[str, tuple[type, str]] = {
    'tensorboard': (TensorboardVisBackend, 'tensorboard'),
    'wandb': (WandbVisBackend, 'wandb'),
    'mlflow': (MLflowVisBackend, 'mlflow'),
}


def vis_backends(track: str | Sequence[str] | None) -> list[dict[str, str]]:
    """The backends of a run's visualizer: its own files, and what ``track`` names.

    Args:
        track: names of :data:`TRACKERS`, as a list or divided by commas; '' or None for none.

    Raises:
        UserError: another name.
    """
    names = track.split(',') if isinstance(track, str) else track or ()
    chosen = [name.strip().lower() for name in map(str, names) if name.strip()]
    if unknown := [name for name in chosen if name not in TRACKERS]:
        raise UserError(f"track is '' or one or several of {', '.join(TRACKERS)}; found '{unknown[0]}'")
    own = dict(type='mae_transfer.LocalVisBackend')
    return [own, *(dict(type=f'mmengine.{TRACKERS[name][0].__name__}') for name in dict.fromkeys(chosen))]


def check_trackers(cfg: Mapping[str, Any]) -> None:
    """Refuse a tracker whose package is not installed; raises ``UserError``."""
    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or ():
        for name, (kind, package) in TRACKERS.items():
            if is_kind(backend, ROOT, cfg.get('default_scope'), kind) and find_spec(package) is None:
                raise UserError(
                    f"track='{name}' needs the package {package}, which is not installed: pip install "
                    "'mae_transfer[track]', or leave track out"
                )
