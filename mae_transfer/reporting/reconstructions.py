"""What a pre-training has learnt: its figures on held-out photos, and the photos that it reconstructs worst."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ..evaluation import ReconstructionLoss
from ..pretraining import MAE
from ..visualization.reconstruction import reconstruction_sheet
from ..visualization.shown_bands import shown_of
from .held_images import name_of
from .judge import Judge
from .sections import Picture, Section, Table
from .worst import Worst

#: Smaller pictures are enlarged to nearly this width, in pixels.
_WIDTH = 640


class _Photo(NamedTuple):
    """A photo (C, H, W) as the model is given it, the seed of its mask, its number, its loss."""

    inputs: Tensor
    seed: Tensor
    number: int
    loss: float


class Reconstructions(Judge):
    """See :class:`~mae_transfer.reporting.judge.Judge`.

    A photo that stands in for an unreadable one counts in the figures, as in tools/test.py, but is not shown twice.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        is_kind = (isinstance(metric, ReconstructionLoss) for metric in self.evaluator.metrics)
        self.loss = self.metric(ReconstructionLoss) if any(is_kind) else None
        self._order = [key[0] if isinstance(key, tuple) else key for key in self.loader.sampler]
        self._losses: list[float] = []
        self._worst: Worst[_Photo] = Worst(self.pictures)

    def add(self, batch: dict, outputs: Sequence[Any]) -> None:
        """See the base class."""
        if self.loss is None:
            return
        dataset, unreadable = self.loader.dataset, tuple(batch.get('skipped', ()))
        for place, output in enumerate(outputs):
            number, loss = self._order[len(self._losses)], float(output['loss'])
            self._losses.append(loss)
            name = name_of(dataset, number)
            if any(line == name or line.startswith(f'{name} (') for line in unreadable):
                continue
            photo = _Photo(batch['inputs'][place], batch['seeds'][place], number, loss)
            self._worst.add(loss, lambda: photo._replace(inputs=photo.inputs.clone()))  # noqa: B023 -- called at once

    def sections(self, metrics: Mapping[str, Any]) -> list[Section]:
        """See the base class."""
        rows = [(name, float(f'{float(value):.5g}')) for name, value in metrics.items()]
        caption, text = 'The figures of tools/test.py.', ''
        if self._losses:
            middle = statistics.median(self._losses)
            rows += [
                (f'loss of the {which} photo', float(f'{value:.5g}'))
                for which, value in (('best', min(self._losses)), ('median', middle), ('worst', max(self._losses)))
            ]
            text = 'The loss is that of the masked patches; each photo has the same mask in every evaluation.'
        figures = Section('Held-out photos', text, (Table(('figure', 'value'), tuple(rows), caption),))
        return [figures, self._pictures()] if self._losses else [figures]

    def _pictures(self) -> Section:
        title, model = 'Reconstructions of held-out photos, worst first', self.trained.model
        if not isinstance(model, MAE) or not model.target.invertible:
            return Section(title, 'There are none: the predictions of this model cannot be turned into pixels.')
        text = f'The photos with the highest loss. The reconstructions show {model.target.pictured}.'
        return Section(title, text, tuple(self._picture(model, photo) for photo in self._worst.items()))

    def _picture(self, model: MAE, photo: _Photo) -> Picture:
        dataset = self.loader.dataset
        batch = dict(inputs=photo.inputs[None], seeds=photo.seed.reshape(1))
        bands = shown_of(dataset, photo.inputs.shape[0])
        zoom = max(1, _WIDTH // (3 * photo.inputs.shape[2]))
        sheet = reconstruction_sheet(model, batch, shown=bands, zoom=zoom, headings=True)
        return Picture(sheet, f'{name_of(dataset, photo.number)}: loss {photo.loss:.3f}')
