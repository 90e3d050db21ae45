"""Is a pre-training learning, and when to stop: measured at each validation."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..classify.features import extract_features
from ..data.photos.loaders import dataset_settings
from ..errors import UserError, is_whole
from ..evaluation.rank_me import rank_me
from ..optim.autocast import DTYPES
from ..registry import DATASETS, HOOKS
from ..runs.record import keep
from ..sharding.shards import has_shards
from .advice import Watched, advice
from .frozen_vit import FrozenViT, SomePhotos
from .probe import Probe
from .undisturbed import undisturbed

#: The name of the evaluations so far in the message hub, and so in checkpoints.
HISTORY = 'learning_history'
#: In ``vis_data/`` of the log's folder: the advice after the last evaluation, for whoever reads the results later.
ADVICE = 'advice.json'


@HOOKS.register_module()
class LearningHook(Hook):
    """At each validation of a pre-training, add to its loss on held-out photos:

    - ``learning/rank_me``: RankMe (:func:`~mae_transfer.evaluation.rank_me.rank_me`) of the features of held-out
      photos.
    - with ``probe_data``, ``knn/top1_k<k>`` and ``probe/top1``: accuracies in per cent of k-NN and of a linear
      classifier on the frozen features. Then there is also a validation before the first step: so random weights are
      compared with, and mistakes in the data found.
    - ``learning/seconds``: what this took, without the validation.

    All go where the validation's metrics go, into the log, ``scalars.json`` and TensorBoard, and may be what
    ``save_best`` looks at. Then a line says what the course so far means (:mod:`~mae_transfer.learning.advice`). The
    course is kept in checkpoints. The training is not changed: generators and modes are as they were before.

    Args:
        loss: metric of the validation that falls as the model learns, such as 'reconstruction/masked_loss'. Where the
            validation has no such metric, that is told once, and nothing is said about longer training.
        loss_title: what the advice calls it.
        photos: config of the held-out photos; default: the validation data set of the config.
        count: photos that RankMe is measured on, drawn from these, always the same; all if there are fewer. 0: it is
            not measured.
        pooling: see :class:`~mae_transfer.learning.frozen_vit.FrozenViT`.
        probe_data: see :func:`~mae_transfer.learning.probe.probe_sets`; None for no accuracies.
        images: settings of the images of ``probe_data``: ``img_size``, ``bands``, ``exif_orientation``.
        k: neighbours of k-NN.
        dtype: autocast type of the ViT: 'float32' for none, 'bfloat16' or 'float16'.

    Raises:
        UserError: settings of another form; ``probe_data`` without a validation, for a model that is divided among
            processes, or what :class:`~mae_transfer.learning.probe.Probe` refuses.
    """

    # After what the validation leaves in the message hub, before the logger's line and the checkpoint.
    priority = 'NORMAL'

    def __init__(
        self,
        loss: str = 'reconstruction/masked_loss',
        loss_title: str = 'masked loss',
        photos: dict | None = None,
        count: int = 2000,
        pooling: str | None = None,
        probe_data: Any = None,
        images: Mapping[str, Any] | None = None,
        k: int = 20,
        dtype: str = 'float32',
    ) -> None:
        if not is_whole(count, 0):
            raise UserError(f'default_hooks.learning.count is a number of photos, or 0 for none; found {count!r}')
        if dtype not in DTYPES:  # in the configs that of the training, which is what a user has set
            raise UserError(f"autocast dtype is one of {', '.join(DTYPES)}; found '{dtype}'")
        self.loss, self.loss_title, self.photos, self.count = loss, loss_title, photos, count
        self.pooling, self.probe_data, self.images, self.k, self.dtype = pooling, probe_data, images or {}, k, dtype
        self._vit: FrozenViT | None = None
        self._loader: DataLoader | None = None
        self._probe: Probe | None = None
        self._seconds, self._evaluations, self._began, self._is_told = 0.0, 0, 0.0, False

    def before_train(self, runner: Runner) -> None:
        """Read the data, and refuse what cannot be measured."""
        self._began = perf_counter()
        if runner.val_loop is None:
            if self.probe_data is not None:
                raise UserError('probe_data is evaluated with the validation, and the config has none: give it one')
            return
        if has_shards(runner.model):
            if self.probe_data is not None:
                raise UserError(
                    'probe_data needs a whole model in each process, and this one is divided: set probe_data=None, or '
                    "model_wrapper_cfg.type='MMDistributedDataParallel'"
                )
            runner.logger.info('RankMe is not measured: the model is divided among processes')
            return
        with undisturbed(runner.model):
            self._vit = FrozenViT(runner.model, self.pooling)
            if self.count:
                self._loader = self._photo_loader(runner)
            if self.probe_data is not None:
                self._probe = Probe(runner, self.probe_data, self.images, self.k)

    def before_train_epoch(self, runner: Runner) -> None:
        """Validate before the first step, if there are labelled images."""
        if self._probe is not None and runner.iter == 0 and not _history(runner):
            with undisturbed(runner.model):
                runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Measure, add to the metrics, and say what the course means; nothing where no training runs."""
        if self._vit is None:
            return
        metrics = metrics if metrics is not None else {}
        if self.loss not in metrics and not self._is_told:
            self._is_told = True
            runner.logger.warning(
                f"nothing is said about longer training: default_hooks.learning.loss='{self.loss}' is not among what "
                f'the validation reports: {", ".join(metrics) or "nothing"}'
            )
        began = perf_counter()
        with undisturbed(runner.model):
            found = self._measure(self._vit)
        found['learning/seconds'] = perf_counter() - began
        self._seconds, self._evaluations = self._seconds + found['learning/seconds'], self._evaluations + 1
        metrics.update(found)
        for name, value in found.items():
            runner.message_hub.update_scalar(f'val/{name}', value)
        entry = dict(found, epoch=runner.epoch, iter=runner.iter)
        if self.loss in metrics:
            entry[self.loss] = float(metrics[self.loss])
        if isinstance(runner.optim_wrapper, OptimWrapper):
            entry['lr'] = max(runner.optim_wrapper.get_lr()['lr'])
        # A resumed run makes the validation again that was due where it stopped.
        history = [old for old in _history(runner) if old['iter'] != runner.iter] + [entry]
        runner.message_hub.update_info(HISTORY, history)
        lines = advice(history, self._watched(self._vit))
        for line in lines:
            runner.logger.log(logging.WARNING if line.is_warning else logging.INFO, line.text)
        if is_main_process():
            keep(ADVICE, [line._asdict() for line in lines], runner)

    def after_train(self, runner: Runner) -> None:
        """Say what the measuring cost."""
        if self._evaluations:
            run = perf_counter() - self._began
            runner.logger.info(
                f'measuring whether it learns took {self._seconds:.1f} s in {self._evaluations} evaluations, '
                f'{100 * self._seconds / run:.2g} % of {run:.0f} s'
            )

    def _measure(self, vit: FrozenViT) -> dict[str, float]:
        found: dict[str, float] = {}
        if self._loader is not None:
            features = extract_features(vit, self._loader, 'held-out photos', self.dtype, is_told=False)
            found['learning/rank_me'] = rank_me(features.values)
        if self._probe is not None:
            found |= self._probe.evaluate(vit, self.dtype)
        return found

    def _photo_loader(self, runner: Runner) -> DataLoader:
        val = runner.val_dataloader
        photos = val.dataset
        if self.photos is not None:
            photos = DATASETS.build(dataset_settings(self.photos))
        return runner.build_dataloader(
            dict(
                dataset=SomePhotos(photos, self.count),
                batch_size=val.batch_size,
                num_workers=val.num_workers,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='mae_transfer.collate_labelled'),
            )
        )

    def _watched(self, vit: FrozenViT) -> Watched:
        photos = len(self._loader.dataset) if self._loader is not None else math.inf  # type: ignore[arg-type]
        accuracies = {} if self._probe is None else {self._probe.knn_metric: 'k-NN', 'probe/top1': 'linear'}
        most = int(min(photos, vit.vit.embed_dim))
        return Watched(self.loss, self.loss_title, most, accuracies, 0 if self._probe is None else self._probe.count)


def _history(runner: Runner) -> list[dict[str, float]]:
    """The evaluations so far, oldest first."""
    return list(runner.message_hub.runtime_info.get(HISTORY, []))
