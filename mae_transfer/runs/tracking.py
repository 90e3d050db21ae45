"""Figures of a run in TensorBoard, Weights & Biases or MLflow: the setting ``track``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from mmengine import visualization
from mmengine.registry import VISBACKENDS as ROOT

from ..errors import UserError
from ..kinds import is_kind
from ..registry import VISBACKENDS


@VISBACKENDS.register_module()
class MLflowVisBackend(visualization.MLflowVisBackend):
    """MMEngine's, which writes to the server or store that ``MLFLOW_TRACKING_URI`` names and, without that, into the
    folder of the run; and which is closed once.

    MMEngine's does not look at that variable, and newer versions of MLflow refuse folders unless
    ``MLFLOW_ALLOW_FILE_STORE`` is set, which is done here for the folder of the run.
    """

    def _init_env(self) -> None:  # private to MMEngine, which calls it before the first figure
        self._tracking_uri = self._tracking_uri or os.environ.get('MLFLOW_TRACKING_URI')
        if self._tracking_uri is None:
            os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
        super()._init_env()

    def close(self) -> None:
        """Add the files of the run, and end it. MMEngine's would begin another run when it is called again."""
        super().close()
        vars(self).pop('_mlflow', None)


#: What ``track`` may name: the type of the backend, its class, and the package that it writes with.
TRACKERS: dict[str, tuple[str, type, str]] = {
    'tensorboard': ('mmengine.TensorboardVisBackend', visualization.TensorboardVisBackend, 'tensorboard'),
    'wandb': ('mmengine.WandbVisBackend', visualization.WandbVisBackend, 'wandb'),
    'mlflow': ('mae_transfer.MLflowVisBackend', visualization.MLflowVisBackend, 'mlflow'),
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
    return [own, *(dict(type=TRACKERS[name][0]) for name in dict.fromkeys(chosen))]


def check_trackers(cfg: Mapping[str, Any]) -> None:
    """Refuse a tracker whose package is not installed; raises ``UserError``."""
    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or ():
        for name, (_, kind, package) in TRACKERS.items():
            if is_kind(backend, ROOT, cfg.get('default_scope'), kind) and find_spec(package) is None:
                raise UserError(
                    f"track='{name}' needs the package {package}, which is not installed: pip install "
                    "'mae_transfer[track]', or leave track out"
                )
