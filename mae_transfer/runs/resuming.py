"""Going on where a run stopped: the file gives the place and the state, this run's config all settings.

MMEngine takes lengths and base rates from the file too, so that a run resumed with another ``max_epochs`` or
``base_lr`` follows the old schedule while its log states the new one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import BaseLoop, EpochBasedTrainLoop

from ..errors import CheckpointError, UserError
from ..sharding.shards import shard_optimizer_state
from .saving import check_intact

#: What a scheduler's state says of its place; all the rest is its settings.
_PLACE = ('last_step', '_global_step', '_last_value')


def checkpoints_of_run(work_dir: str | Path) -> list[Path]:
    """The checkpoints from which the run in a folder can be resumed, the newest first.

    These are the one that ``last_checkpoint`` names, if it is there, then the others, by the time of writing.
    """
    folder = Path(work_dir)
    found = sorted(folder.glob('*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = [path for path in found if re.fullmatch(r'(epoch|iter)_\d+', path.stem)]
    pointer = folder / 'last_checkpoint'
    if not pointer.is_file():
        return found
    named = Path(pointer.read_text(errors='replace').strip())
    # The given folder comes first: if it was moved or copied, the stored path may be an outdated copy.
    last = next((path for path in (folder / named.name, named) if path.is_file()), None)
    return found if last is None else [last, *(path for path in found if path != last)]


def intact_checkpoint(work_dir: str | Path, tell: Callable[[str], None]) -> Path | None:
    """The newest checkpoint of the run in a folder that is as it was written; None if the folder has none.

    Args:
        tell: given a line for each damaged one.

    Raises:
        CheckpointError: all are damaged.
    """
    found = checkpoints_of_run(work_dir)
    for path in found:
        try:
            check_intact(path)
        except CheckpointError as error:
            tell(f'{error}: the checkpoint before it is used')
        else:
            return path
    if found:
        raise CheckpointError(
            f'none of the {len(found)} checkpoints in {work_dir} can be read, {found[0].name} is the newest: remove '
            'them to start anew'
        )
    return None


class Place(NamedTuple):
    """Where a run stood, in this run's epochs and iterations (forward passes of each process).

    Args:
        epoch: epochs that are done.
        iteration: iterations that are done.
        is_converted: whether an epoch, or a step of the optimiser, has another number of iterations here than there.
    """

    epoch: int
    iteration: int
    is_converted: bool


def find_place(checkpoint: Mapping, filename: str, loop: BaseLoop, epoch_length: int, accumulation: int) -> Place:
    """The place of a checkpoint's run.

    Args:
        loop: this run's training loop.
        epoch_length: this run's iterations for one epoch.
        accumulation: this run's iterations for one step of the optimiser.

    Raises:
        UserError: the file holds no run, or one that was longer than this.
    """
    if not all(isinstance(checkpoint.get(part), Mapping) for part in ('meta', 'message_hub', 'optimizer')):
        raise UserError(
            f'{filename} holds weights, not the state of a run, so that there is nothing to resume: start from the '
            'weights by --load-from'
        )
    meta, by_epoch = checkpoint['meta'], isinstance(loop, EpochBasedTrainLoop)
    here, key = (epoch_length, 'epoch_length') if by_epoch else (accumulation, 'accumulation')
    there = meta.get(key, here)
    iteration = round(meta['iter'] * here / there)
    if by_epoch and here != there:  # whole epochs, and the steps of the optimiser since
        since = meta['iter'] - meta['epoch'] * there
        steps = since / meta.get('accumulation', 1)
        iteration = meta['epoch'] * here + min(round(steps * accumulation), here)
    place = Place(meta['epoch'], iteration, here != there)
    unit = 'epochs' if by_epoch else 'iters'
    done, length = (place.epoch, loop.max_epochs) if by_epoch else (place.iteration, loop.max_iters)
    if done > length:
        raise UserError(
            f'{filename} has done {done} {unit} of a longer run, this run has {length}: set max_{unit} to more'
        )
    return place


def other_processes(meta: Mapping, processes: int) -> str | None:
    """What differs where a run goes on with another number of processes; None for the same.

    Args:
        meta: of the checkpoint.
        processes: of this run.
    """
    before = meta.get('processes', processes)
    if before == processes:
        return None
    return (
        f'the file is of a run of {before} processes, this one has {processes}: the images, crops and masks of each '
        'step are the same, and its sums are rounded otherwise; what is drawn for all images of a process together '
        '(drop path, mixing, the choice of proposals), and statistics of batch norms, differ'
    )


def load_optimizer(wrapper: OptimWrapper, state: dict, filename: str) -> list[dict]:
    """Load the state of the parameters, such as moments; each group's settings are the file's then.

    Returns:
        This run's own settings of each group, as they were.

    Raises:
        UserError: other groups.
    """
    own = [{name: value for name, value in group.items() if name != 'params'} for group in wrapper.param_groups]
    try:
        wrapper.load_state_dict(shard_optimizer_state(wrapper.optimizer, state))
    except ValueError as error:
        raise UserError(
            f'{filename} is of a run with other groups of parameters ({error}): resume with the same layer decay, '
            'weight decay and trained parts, or start from its weights by --load-from'
        ) from None
    return own


def resume_schedule(
    wrapper: OptimWrapper,
    own: Sequence[dict],
    schedulers: Sequence[_ParamScheduler],
    states: Sequence[dict],
    place: Place,
    epoch_length: int,
) -> list[str]:
    """Bring this run's schedule to a place.

    Args:
        wrapper: with the state that :func:`load_optimizer` loaded.
        own: what it returned.
        schedulers: this run's, at their start.
        states: those of the file.
        place: where to.
        epoch_length: iterations for one epoch.

    Returns:
        The settings in which this run differs from the file's, in words.
    """
    scheduled = {scheduler.param_name for scheduler in schedulers}
    differences = [
        text
        for group, mine in zip(wrapper.param_groups, own)
        for text in _differences(group, mine, ('param_names', *scheduled))
    ]
    if not place.is_converted:
        for scheduler, state in zip(schedulers, states):
            differences += _differences(state, scheduler.state_dict(), (*_PLACE, 'base_values'))
    if not differences and not place.is_converted and len(schedulers) == len(states):
        for scheduler, state in zip(schedulers, states):
            scheduler.load_state_dict(state)
        return []
    for group, mine in zip(wrapper.param_groups, own):
        group.update(mine)
    _replay(schedulers, place, epoch_length)
    return list(dict.fromkeys(differences))


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], ignored: Iterable[str]) -> list[str]:
    return [
        f'{name} {here[name]!r} (there {there[name]!r})'
        for name in here
        if name not in ignored and name in there and there[name] != here[name]
    ]


def _replay(schedulers: Sequence[_ParamScheduler], place: Place, epoch_length: int) -> None:
    """Step through the schedule: most of MMEngine's schedulers know a value only by the one before."""
    if all(hasattr(scheduler, 'go_to') for scheduler in schedulers):
        for scheduler in schedulers:
            scheduler.go_to(place.iteration)
        return
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of schedulers that move while the optimiser does not
        for iteration in range(1, place.iteration + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or iteration % epoch_length == 0:
                    scheduler.step()
