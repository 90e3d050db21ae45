"""Prepare a target that learns from images, such as a PCA basis, before training starts."""

from __future__ import annotations

from time import perf_counter

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..data.seeds import sample_seed
from ..pretraining.target import Target
from ..progress import progress
from ..registry import HOOKS


@HOOKS.register_module()
class FitTargetHook(Hook):
    """Give the MAE's target the training images that it asks for, in a separate pass before training starts.

    A target asks for them by :attr:`~mae_transfer.pretraining.Target.images_needed`; if it needs none, for instance
    because a checkpoint has made it ready, no image is read. Choice and crops of the images depend on their indices
    alone: the target gets the same pixels regardless of the run's seed, workers and processes. The random numbers of
    the training do not change.

    Args:
        batch_size: images per batch in each process.
    """

    def __init__(self, batch_size: int = 64):
        self.batch_size = batch_size

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        """Call the target's ``prepare`` with this process's share of the images."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        target = getattr(model, 'target', None)
        if not isinstance(target, Target) or not target.images_needed:
            return
        start = perf_counter()
        loader = runner.train_dataloader
        keys = choose_photos(len(loader.dataset), target.images_needed)
        photos = DataLoader(
            loader.dataset,
            self.batch_size,
            sampler=keys[get_rank() :: get_world_size()],
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            generator=torch.Generator(),  # by default the seeds of the workers come from the global generator
        )
        batches = progress(photos, f'{type(target).__name__} prepared, batches')
        target.prepare(model.data_preprocessor(batch)['inputs'] for batch in batches)
        runner.logger.info(
            f'{type(target).__name__} prepared from {len(keys)} training images in {perf_counter() - start:.0f} s'
        )


def choose_photos(length: int, most: int) -> list[tuple[int, int]]:
    """(index, seed) of up to ``most`` of ``length`` photos, drawn without replacement; always the same."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(0))[:most].tolist()
    return [(index, sample_seed(0, 0, index)) for index in order]
