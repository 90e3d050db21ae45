"""What a trained model predicts for the test data of its run: figures, and pictures beside the truth, worst first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader

from ..api.small_sets import workers
from ..checks import check_config
from ..dense.checks import check_head_classes
from ..errors import UserError, in_python, is_whole, own_line, shorten
from ..hooks.skipped_images import skipped_in
from ..inference.trained import Trained, load
from ..paths import shown
from ..progress import progress
from ..runner import StrictRunner
from ..runs.console import for_people
from ..runs.instances import own_instances
from ..settings import change_settings
from .judge import Judge, quiet
from .sections import Section


def evaluated_sections(
    run: str | os.PathLike,
    pictures: int = 12,
    device: str | None = None,
    *,
    cfg_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> list[Section]:
    """Evaluate a trained model on the test data of its run, once, and tell what it does well and badly.

    The figures are those of tools/test.py: data, model and metrics are built from the run's config as it does.

    - Detection: AP, also of each class, precision-recall curves, confusions, images with the lowest F1.
    - Segmentation: mIoU, also of each class, confusions, images with the lowest mIoU.
    - Classification: accuracy, also of each class, confusions, the most confident mistakes.
    - Pre-training: the evaluator's figures; of an MAE the photos with the highest loss.

    Args:
        run: a work_dir or a checkpoint: see :func:`~mae_transfer.inference.trained.load`.
        pictures: how many images are shown, at most; 0 for none.
        device: 'cpu', 'cuda', ...; None for a GPU if there is one.
        cfg_options, settings: changes of the run's config, as ``load`` takes them: ``data_root='elsewhere'`` for data
            that have moved.

    Raises:
        UserError: what ``load`` raises; no test data where the config says, or without annotations; what ends
            tools/test.py.
    """
    if not is_whole(pictures, 0):
        raise UserError(f'pictures is a whole number, 0 or more; found {pictures!r}')
    try:
        with own_instances():
            for_people(MMLogger.get_instance('evaluated', log_level='WARNING'))
            trained = load(run, device=device, cfg_options=cfg_options, **settings)
            with DefaultScope.overwrite_default_scope(trained.cfg.get('default_scope')):
                return _sections(trained, pictures)
    except UserError as error:  # one from a data loader's worker arrives with a traceback in its message
        raise UserError(in_python(own_line(error))) from error


def _sections(trained: Trained, pictures: int) -> list[Section]:
    cfg = trained.cfg
    check_config(cfg, 'test')
    cfg = change_settings(cfg, workers(cfg, ())[0])
    with quiet():
        loader, evaluator = _loader(trained, cfg), Evaluator(cfg.get('test_evaluator') or [])
    dataset: Any = loader.dataset
    model = cast(BaseModel, trained.model)
    evaluator.dataset_meta = getattr(dataset, 'metainfo', None)
    judge = _judge(trained, evaluator, loader, pictures)
    skipped: dict[str, None] = {}
    with torch.no_grad(), autocast(enabled=bool((cfg.get('test_cfg') or {}).get('fp16'))):
        for batch in progress(loader, 'batches evaluated'):
            outputs = model.test_step(batch)
            evaluator.process(outputs, batch)
            judge.add(batch, outputs)
            skipped.update(dict.fromkeys(skipped_in(batch)))
    with quiet():
        metrics = evaluator.evaluate(len(dataset))
    first, *others = judge.sections(metrics)
    about = [f'{trained.checkpoint.name} on {len(dataset):,} images of its test data.', first.text]
    if skipped:
        about.append(f'{len(skipped)} unreadable images were left out: {shorten(map(shown, skipped))}.')
    return [Section(first.title, ' '.join(filter(None, about)), first.parts), *others]


def _loader(trained: Trained, cfg: Config) -> DataLoader:
    """The test data as tools/test.py loads them."""
    loader = StrictRunner.build_dataloader(cfg.test_dataloader, seed=(cfg.get('randomness') or {}).get('seed'))
    if trained.task in ('detect', 'segment'):
        check_head_classes(trained.model, loader.dataset, cfg.get('classes') is not None)
    return loader


def _judge(trained: Trained, evaluator: Evaluator, loader: DataLoader, pictures: int) -> Judge:
    """What looks at the predictions of a task; imported for the task, as the libraries of others may be missing."""
    if trained.task == 'detect':
        from .detections import Detections

        return Detections(trained, evaluator, loader, pictures)
    if trained.task == 'segment':
        from .segmentations import Segmentations

        return Segmentations(trained, evaluator, loader, pictures)
    if trained.task == 'classify':
        from .classifications import Classifications

        return Classifications(trained, evaluator, loader, pictures)
    from .reconstructions import Reconstructions

    return Reconstructions(trained, evaluator, loader, pictures)
