"""Training loops that go on at any step as if they had not stopped.

They have the names of MMEngine's loops and replace them in configs with ``default_scope = 'mae_transfer'``. What is
random in a step follows from the run's seed, the number of the step and the process
(:func:`~mae_transfer.data.seeds.seed_step`), and what is random in an item from the sampler's seed. Neither the state
of a generator nor that of a worker has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.runner import loops
from torch.utils.data import BatchSampler, DataLoader

from ..data.seeds import seed_step
from ..registry import LOOPS
from .compiling import eager
from .prefetch import on_device
from .speed import WaitingTime


@LOOPS.register_module()
class EpochBasedTrainLoop(loops.EpochBasedTrainLoop):
    """MMEngine's loop over epochs, which may begin within an epoch.

    A validation that was due where the run stopped is made first: it may have been interrupted.
    """

    #: measures the time until a batch is there, if it is set
    waiting: WaitingTime | None = None

    def run(self) -> torch.nn.Module:
        """Train and validate to the end."""
        self.runner.call_hook('before_train')
        if self._iter and self._iter == self._epoch * len(self.dataloader):
            _validate_if_due(self, self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            _validate_if_due(self, self._epoch, self._max_epochs)
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train to the end of the epoch."""
        self.runner.call_hook('before_train_epoch')  # tells the sampler the epoch
        self.runner.model.train()
        begin = self._iter - self._epoch * len(self.dataloader)
        for number, batch in enumerate(_timed(batches_from(self.dataloader, begin), self.waiting), begin):
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """One forward pass, and a step of the optimiser where the batch is complete."""
        seed_step(self.runner.seed, self._iter, get_rank())
        with self.runner.heartbeat.step(self._iter + 1):
            super().run_iter(idx, data_batch)


@LOOPS.register_module()
class IterBasedTrainLoop(loops.IterBasedTrainLoop):
    """MMEngine's loop over iterations, which begins at any of them without loading what came before.

    A validation that was due where the run stopped is made first: it may have been interrupted.
    """

    #: measures the time until a batch is there, if it is set
    waiting: WaitingTime | None = None

    def run(self) -> torch.nn.Module:
        """Train and validate to the end."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')  # the run is one epoch to MMEngine's hooks
        if self._iter:
            _validate_if_due(self, self._iter, self._max_iters)
        batches = _timed(self._batches(), self.waiting)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            _validate_if_due(self, self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _batches(self) -> Iterator[Any]:
        """All batches from the place of the run on; a sampler that ends begins again, in another order."""
        loader = self.dataloader
        if isinstance(loader.sampler, InfiniteSampler):
            yield from batches_from(loader, self._iter)
        passes, begin = divmod(self._iter, len(loader))
        for number in count(passes):
            sampler = loader.sampler if hasattr(loader.sampler, 'set_epoch') else loader.batch_sampler.sampler
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(number)
            yield from batches_from(loader, begin)
            begin = 0

    def run_iter(self, data_batch: Any) -> None:
        """One forward pass, and a step of the optimiser where the batch is complete."""
        seed_step(self.runner.seed, self._iter, get_rank())
        with self.runner.heartbeat.step(self._iter + 1):
            super().run_iter(data_batch)


def _timed(batches: Iterator[Any], waiting: WaitingTime | None) -> Iterator[Any]:
    return batches if waiting is None else waiting.timed(batches)


def _validate_if_due(loop: EpochBasedTrainLoop | IterBasedTrainLoop, done: int, most: int) -> None:
    """Validate if it is time after ``done`` of ``most`` epochs or iterations."""
    loop._decide_current_val_interval()
    is_time = done % loop.val_interval == 0 or done == most
    if loop.runner.val_loop is not None and done >= loop.val_begin and is_time:
        with eager():
            loop.runner.val_loop.run()


def batches_from(loader: DataLoader, begin: int) -> Iterator[Any]:
    """The batches of the next pass over a loader from number ``begin`` on.

    Our samplers and MMEngine's ``InfiniteSampler`` leave out the ones before; with others these are loaded, and
    dropped.
    """
    if begin and type(loader.batch_sampler) is BatchSampler and hasattr(loader.sampler, 'skip'):
        loader.sampler.skip(begin * loader.batch_sampler.batch_size)
        begin = 0
    return on_device(islice(loader, begin, None))
