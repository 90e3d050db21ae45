"""The model that a user names: that of a run, or a ViT alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import UserError
from ..paths import user_path
from ..vit.weights.checkpoint import read_weights
from .bare_vit import BareViT, read_bare_vit
from .trained import Trained, load, loaded


def model_of(
    model: Trained | str | os.PathLike, reading: Mapping[str, Any], device: str | torch.device | None = None
) -> Trained | BareViT:
    """The model of a run, on its device; or a ViT alone, of any project, on the CPU.

    Args:
        model: what :func:`~.trained.load` gave or takes, or a file or folder with the weights of a ViT.
        reading: settings of :func:`~.bare_vit.read_bare_vit`, None for those that are not given. If one is given,
            ``model`` is taken as a ViT alone, also that of a run.
        device: of a run's model; None for a GPU if there is one.

    Raises:
        UserError: settings of a ViT alone for a model that is loaded; what the two functions raise.
    """
    given = {name: value for name, value in reading.items() if value is not None}
    if isinstance(model, Trained):
        if given:
            raise UserError(f'{", ".join(given)} of a trained model are those of its run: leave them out')
        return loaded(model, device)
    path = user_path(model, 'model')
    if given:
        return read_bare_vit(path, **given)
    weights = read_weights(path)
    if weights.layout == 'mae_transfer':  # names that a run of ours writes
        return load(model, device=device)
    return read_bare_vit(weights)
