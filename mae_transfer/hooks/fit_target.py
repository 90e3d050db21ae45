"""A target that follows from the photos, such as a PCA basis, is worked out before training begins."""

from __future__ import annotations

from time import perf_counter

import torch
from mmengine.dist import all_reduce, broadcast, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch.utils.data import DataLoader

from ..data.sampler import sample_seed
from ..registry import HOOKS


@HOOKS.register_module()
class FitTargetHook(Hook):
    """Fit the MAE's target in a pass of its own over training photos, unless it needs none or has been fitted.

    Photos are chosen, and cropped, by their numbers alone: whatever the run's seed, its workers and its processes, the
    fit sees the same pixels. The training's own random numbers are left as they are.

    Args:
        batch_size: photos at once in a process.
    """

    def __init__(self, batch_size: int = 64):
        self.batch_size = batch_size

    @torch.no_grad()
    def before_train(self, runner) -> None:
        """Sum the target's statistics over up to ``target.max_images`` photos and all processes; then fit."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        target = getattr(model, 'target', None)
        if not hasattr(target, 'fit') or target.fitted:
            return
        start = perf_counter()
        loader = runner.train_dataloader
        keys = chosen_photos(len(loader.dataset), target.max_images)
        photos = DataLoader(
            loader.dataset,
            self.batch_size,
            sampler=keys[get_rank() :: get_world_size()],
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            generator=torch.Generator(),
        )
        size = 1 + len(target.mean)
        total = torch.zeros(size, size, dtype=torch.float64, device=target.mean.device)
        for batch in photos:
            total += target.statistics(model.data_preprocessor(batch)['inputs'], model.vit.patch_size)
        all_reduce(total)
        count, share = round(total[0, 0].item()), target.fit(total)
        for buffer in (target.mean, target.basis):
            broadcast(buffer)  # equal already, but for the last bits of other hardware
        runner.logger.info(
            f'{type(target).__name__}: fitted to {count} patches of {len(keys)} photos; {target.components} of '
            f'{size - 1} '
            f'components hold {100 * share:.2f} % of the variance ({perf_counter() - start:.0f} s)'
        )


def chosen_photos(length: int, most: int) -> list[tuple[int, int]]:
    """(index, seed) of up to ``most`` of ``length`` photos, drawn without replacement: always the same."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(0))[:most].tolist()
    return [(index, sample_seed(0, 0, index)) for index in order]
