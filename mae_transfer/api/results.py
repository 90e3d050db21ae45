"""What a training or an evaluation gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, repr=False)
class TestResult:
    """An evaluation.

    Attributes:
        metrics: values by their names, as the log has them, e.g. 'coco/bbox_mAP', 'mIoU' (per cent),
            'accuracy/top1' (per cent), 'reconstruction/masked_loss'.
        work_dir: the folder of its log.
        config: its config, written out: ``tools/test.py CONFIG CHECKPOINT`` evaluates the same.
        checkpoint: the file of the weights; None for random ones.
        stands_on: the name of the packaged config that it stands on, e.g. 'coco_maskrcnn_vitb'.
    """

    __test__ = False  # the name looks like a test's to pytest

    metrics: Mapping[str, float]
    work_dir: Path
    config: Path
    checkpoint: Path | None
    stands_on: str

    def __str__(self) -> str:
        figures = ', '.join(f'{name} {value:.4g}' for name, value in self.metrics.items()) or 'no evaluation'
        return f'{self.stands_on}: {figures} ({self.checkpoint or self.work_dir})'

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class TrainingResult(TestResult):
    """A training: a :class:`TestResult` of its last evaluation or, where the best checkpoint is kept, of the best.

    ``config`` trains the same by ``tools/train.py CONFIG``; ``checkpoint`` is the last one, or the best that is kept.
    """

    __test__ = False
