"""Do a model and its normalisation take images of the same channels?"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from .errors import UserError
from .pretraining import Tokenizer
from .vit import ViT


def check_channels(model: nn.Module) -> None:
    """Compare the channels that a model takes with those that its ``data_preprocessor`` normalises.

    Args:
        model: an MAE, a classifier, a detector, a segmentor or a tokenizer; one without a ViT, or whose preprocessor
            normalises nothing, is not checked.

    Raises:
        UserError: as many values of ``mean`` or ``std`` as the model takes channels is right; there are others.
    """
    preprocessor = getattr(model, 'data_preprocessor', None)
    for place, channels in _taken(model):
        for name in ('mean', 'std'):
            values = getattr(preprocessor, name, None)
            if values is not None and len(values) != channels:
                wanted = channels if channels != 3 else len(values)
                bands = "'RGB'" if wanted == 3 else str(tuple(range(1, wanted + 1))).replace(' ', '')
                raise UserError(
                    f'{place} is {channels}, but model.data_preprocessor.{name} has {len(values)} values: set `bands`, '
                    f'e.g. bands={bands}, which the model follows, with `mean` and `std`, a value for each band'
                )


def _taken(model: nn.Module) -> Iterator[tuple[str, int]]:
    """The settings that say how many channels a model takes, with their values."""
    if isinstance(model, Tokenizer):
        yield 'model.channels', model.channels
    for name in ('vit', 'backbone'):
        if isinstance(part := getattr(model, name, None), ViT):
            yield f'model.{name}.in_channels', part.in_channels
