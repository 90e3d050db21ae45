"""What the parts have in common that look at the predictions of one task."""

from __future__ import annotations

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mmengine.evaluator import BaseMetric, Evaluator
from torch.utils.data import DataLoader

from ..errors import UserError, shorten
from ..inference.trained import Trained
from ..paths import shown
from .sections import Section

Metric = TypeVar('Metric', bound=BaseMetric)


class Judge(ABC):
    """Looks at the predictions of a model, batch by batch, and then makes the sections of a report.

    Args:
        trained: the model.
        evaluator: of the test data, with the metrics of tools/test.py.
        loader: of the test data.
        pictures: how many images are shown, at most.

    Raises:
        UserError: the evaluator has no metric from which the sections follow.
    """

    def __init__(self, trained: Trained, evaluator: Evaluator, loader: DataLoader, pictures: int) -> None:
        self.trained, self.evaluator, self.loader, self.pictures = trained, evaluator, loader, pictures

    @abstractmethod
    def add(self, batch: dict, outputs: Sequence[Any]) -> None:
        """Look at a batch and what the model's ``test_step`` gives for it, after the metrics have processed it."""

    @abstractmethod
    def sections(self, metrics: Mapping[str, Any]) -> list[Section]:
        """The sections, the figures first, once the evaluator has given ``metrics``."""

    def metric(self, kind: type[Metric]) -> Metric:
        """The evaluator's metric of a kind, which compares predictions with the truth; raises as the class."""
        metric = next((metric for metric in self.evaluator.metrics if isinstance(metric, kind)), None)
        if metric is None:
            found = ', '.join(type(metric).__name__ for metric in self.evaluator.metrics) or 'none'
            raise UserError(
                f'{shown(self.trained.source)}: its figures follow from a {kind.__name__}, and test_evaluator has '
                f'{found}: set test_evaluator=dict(type=...)'
            )
        if getattr(metric, 'format_only', False):
            raise UserError(
                f'{shown(self.trained.source)}: test_evaluator.format_only=True writes predictions without a truth to '
                'compare them with: set it to False, with annotated data'
            )
        return metric


def left_out(names: Sequence[str], lack: str) -> str:
    """The end of a caption of a table that has no row for some classes; '' where it has all.

    Args:
        names: of these classes.
        lack: what they are without: 'an object'.
    """
    return f' Left out, as they are without {lack}: {shorten(names)}.' if names else ''


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what pycocotools prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
