"""Pictures of what an MAE reconstructs from masked held-out photos, drawn during training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from PIL import Image

from ..data.files.bands import Bands
from ..data.photos.loaders import dataset_settings
from ..registry import DATASETS, HOOKS
from ..sharding.shards import has_shards
from ..visualization.reconstruction import reconstruction_sheet
from ..visualization.shown_bands import ShownBands, shown_of


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Draw some photos masked, reconstructed and whole, into ``<work_dir>/reconstructions/`` and the visualizer.

    If the target cannot turn predictions into pixels (for example, tokens of a tokenizer without a decoder), nothing is
    drawn, and this is reported once.

    Args:
        dataset: config of the photos; default: the validation data set of the config.
        count: number of photos, the first ones of the data set; their masks are the same in all pictures of a run.
        interval: epochs between pictures (iterations in an iteration-based run). The trained model is always drawn.
        by_epoch: whether ``interval`` counts epochs.
        bands_shown: for photos of other bands than 'RGB': one or three bands that are shown, by their numbers in the
            files; by default the first three.
    """

    priority = 'LOW'

    def __init__(
        self,
        dataset: dict | None = None,
        count: int = 8,
        interval: int = 20,
        by_epoch: bool = True,
        bands_shown: Bands | None = None,
    ) -> None:
        self.dataset, self.count, self.interval, self.by_epoch = dataset, count, interval, by_epoch
        self.bands_shown = bands_shown
        self.shown: ShownBands | None = None
        self.batch: dict[str, torch.Tensor] | None = None
        self.warned = False

    def before_train(self, runner: Runner) -> None:
        """Raise now, not after an epoch, if ``bands_shown`` are not among the bands."""
        if self.bands_shown is not None:
            shown_of(runner.train_dataloader.dataset, _model_of(runner).vit.in_channels, self.bands_shown)

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw at every ``interval``-th epoch."""
        if self.by_epoch and self.every_n_epochs(runner, self.interval):
            self.draw(runner, f'epoch_{runner.epoch + 1}')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Draw at every ``interval``-th iteration."""
        if not self.by_epoch and self.every_n_train_iters(runner, self.interval):
            self.draw(runner, f'iter_{runner.iter + 1}')

    def after_train(self, runner: Runner) -> None:
        """Draw the trained model."""
        self.draw(runner, 'last')

    def draw(self, runner: Runner, name: str) -> None:
        """Write ``reconstructions/<name>.png``, in the main process."""
        model = _model_of(runner)
        if not is_main_process() and not has_shards(model):
            return
        if not model.target.invertible:
            if not self.warned:
                runner.logger.info(
                    f'no reconstructions are drawn: predictions of {type(model.target).__name__} cannot be turned into '
                    'pixels'
                )
            self.warned = True
            return
        if self.batch is None:
            dataset = DATASETS.build(dataset_settings(self.dataset or runner.cfg.val_dataloader.dataset))
            items = [dataset[i] for i in range(min(self.count, len(dataset)))]
            self.batch = dict(
                inputs=torch.stack([item['inputs'] for item in items]),
                seeds=torch.tensor([item['seeds'] for item in items]),
            )
            self.shown = shown_of(dataset, self.batch['inputs'].shape[1], self.bands_shown)
        training = model.training
        model.eval()
        sheet = reconstruction_sheet(model, self.batch, shown=self.shown)
        model.train(training)
        if not is_main_process():
            return
        folder = Path(runner.work_dir) / 'reconstructions'
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet).save(folder / f'{name}.png')
        runner.visualizer.add_image('reconstructions', sheet, step=runner.iter)


def _model_of(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
