"""From a config and what is asked of it to MMEngine's runner: the one way of the tools and of the calls in Python."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from .checks import check_config
from .compat import distributed, telling
from .compat.package_configs import PREFIX, find_config
from .errors import UserError
from .failures import disk_failure, peer_failure, user_line, worker_failure
from .optim.batch_plan import plan_of
from .outputs import output_folder
from .paths import shown
from .runner import StrictRunner
from .runs.console import console
from .runs.resuming import checkpoints_of_run
from .runs.stop_signals import Stopped
from .runs.tracking import check_trackers
from .settings import change_settings, read_config
from .tool_options import AMP_DTYPES, SHIFTS, set_amp, set_checkpoint, set_per_class, set_shift, set_show_dir
from .vit.weights.checkpoint import CheckpointError, find_checkpoint

__all__ = [
    'AMP_DTYPES',
    'SHIFTS',
    'build_runner',
    'common_arguments',
    'configure',
    'console',
    'default_work_dir',
    'evaluate',
    'load_config',
    'prepare_training',
    'run_arguments',
    'run_main',
    'set_amp',
    'set_checkpoint',
    'set_per_class',
    'set_shift',
    'set_show_dir',
    'starting_weights',
    'train',
    'with_work_dir',
    'world_size',
]


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing share."""
    parser.add_argument('config', help=f"config file; {PREFIX}NAME.py for one of the package's own")
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go; default work_dirs/<the config below configs/>'
    )
    run_arguments(parser)


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every tool that runs a config: changes of its settings, and how its processes were started."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        default=[],
        help='change settings of the config, and all that refers to them, e.g. data_root=my/photos max_epochs=100 '
        'model.vit.arch=192x5x3',
    )
    parser.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how the processes were started'
    )
    parser.add_argument('--verbose', action='store_true', help='show all of the log on the console')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """The config of the command line, as :func:`configure` gives it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return configure(args.config, args.cfg_options, args.work_dir, args.launcher)


def configure(
    config: str | Path,
    changes: Sequence[str | tuple[str, Any]] = (),
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config with its changes, launcher and work_dir; references are resolved.

    Args:
        config: file, or ``mae_transfer::NAME.py``.
        changes: ``KEY=VALUE`` as on the command line, or pairs of a dotted key and a value.
        work_dir: None for the config's own, or ``work_dirs/`` and the config's name.
        launcher: how the processes were started.

    Raises:
        UserError: no such config file; a change that :func:`~mae_transfer.settings.change_settings` refuses; a work_dir
            that cannot be written to.
    """
    path = find_config(config)
    return with_work_dir(read_config(path, changes), work_dir, default_work_dir(path), launcher)


def with_work_dir(cfg: Config, work_dir: str | None, default: Path, launcher: str = 'none') -> Config:
    """A config with its launcher and its work_dir: the given one, the config's own, or the default.

    Raises:
        UserError: a work_dir that cannot be written to, or whose name is no text.
    """
    chosen = work_dir or cfg.get('work_dir') or str(default)
    option = '--work-dir' if work_dir else 'work_dir'
    output_folder(chosen, option, create=False)
    if shown(chosen) != chosen:
        raise UserError(f"{option}: files of the run name its folder, but '{shown(chosen)}' is no text: rename it")
    return change_settings(cfg, [('launcher', launcher), ('work_dir', chosen)])


def default_work_dir(config: Path) -> Path:
    """``work_dirs/`` and the config's path below ``configs/``: ``configs/small/a.py`` -> ``work_dirs/small/a``."""
    parts = config.with_suffix('').parts
    below = parts[::-1].index('configs') if 'configs' in parts else 1
    return Path('work_dirs', *parts[-max(1, below) :])


def world_size(launcher: str) -> int:
    """Number of processes that the launcher started."""
    name = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS'}.get(launcher)
    return int(os.environ.get(name, 1)) if name else 1


def prepare_training(cfg: Config) -> None:
    """Check the config before anything is built, and print which weights the run starts from.

    Raises:
        UserError: impossible numbers, settings that do not exist, missing data or weights, a tracker that is not
            installed.
    """
    processes = world_size(cfg.launcher)
    check_trackers(cfg)
    plan_of(cfg, processes)
    check_config(cfg, 'train', 'val', processes=processes)
    sources = dict(starting_weights(cfg.model, 'model'))
    for place, source in sources.items():
        try:
            find_checkpoint(source)
        except CheckpointError as error:
            name = cfg.get('references', {}).get(place, place).strip('${}')
            raise UserError(
                f'{name}: {error}: pre-train first, or choose --cfg-options {name}=FILE, or none for random weights'
            ) from error
    if int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0:
        found = ', '.join(f'{source} ({place.rpartition(".init_cfg")[0]})' for place, source in sources.items())
        print(f'weights to start from: {found or "none, all are random"}', flush=True)


def starting_weights(model: Mapping, place: str) -> Iterator[tuple[str, str]]:
    """The checkpoints that a model's ``init_cfg`` name, by their dotted keys; random weights are left out."""
    for key, value in model.items():
        if key == 'init_cfg' and isinstance(value, Mapping):
            if (source := value.get('checkpoint')) not in (None, 'none') and '://' not in source:
                yield f'{place}.init_cfg.checkpoint', source
        elif isinstance(value, Mapping):
            yield from starting_weights(value, f'{place}.{key}')


# Running --------------------------------------------------------------------------------------------------------------


def train(
    cfg: Config,
    amp: str | None = None,
    resume: str | None = None,
    load_from: str | None = None,
    notes: Sequence[str] = (),
) -> StrictRunner:
    """Train the model of a config: the way of tools/train.py, with its options.

    Args:
        cfg: from :func:`configure`.
        amp: one of :data:`AMP_DTYPES`; None for the config's precision.
        resume: 'auto', for the last checkpoint of the work_dir if it has one, or a file; None to begin.
        load_from: file of a whole model to start from.
        notes: lines for the log of the run.

    Returns:
        The runner, after its run.

    Raises:
        UserError: a mistake of the user's, before training starts where it can be known.
        Stopped: by a signal, after a checkpoint was written.
    """
    changes = set_amp(cfg, amp) if amp else []
    if (resume == 'auto' or distributed.is_restart()) and checkpoints_of_run(cfg.work_dir):
        changes += [('resume', True), ('load_from', None)]
    elif resume not in (None, 'auto'):
        changes += [('resume', True), ('load_from', str(find_checkpoint(resume)))]
    elif load_from:
        changes.append(('load_from', str(find_checkpoint(load_from))))
    cfg = change_settings(cfg, changes)
    prepare_training(cfg)
    distributed.start_group(cfg.launcher)
    runner = build_runner(cfg, require_all_weights=False)
    for note in notes:
        runner.logger.info(note)
    try:
        runner.train()
    except BaseException:  # a hook of MMEngine's closes it at the end of a run; trackers must hear of one that failed
        runner.visualizer.close()
        raise
    return runner


def evaluate(
    cfg: Config,
    checkpoint: str,
    shift: str | None = None,
    per_class: bool = False,
    tta: bool = False,
    show_dir: str | None = None,
) -> tuple[StrictRunner, dict[str, Any]]:
    """Evaluate a checkpoint by a config: the way of tools/test.py, with its options.

    Args:
        cfg: from :func:`configure`.
        checkpoint, shift, show_dir: see :func:`set_checkpoint`, :func:`set_shift`, :func:`set_show_dir`.
        per_class: whether a table of the classes is printed.
        tta: whether the predictions for several scales, also mirrored, are averaged.

    Returns:
        The runner, and the metrics by their names.

    Raises:
        UserError: a mistake of the user's.
    """
    if shift:
        cfg = change_settings(cfg, set_shift(cfg, shift))
    if per_class:
        cfg = change_settings(cfg, set_per_class(cfg))
    check_config(cfg, 'test')
    check_trackers(cfg)
    cfg = change_settings(cfg, set_checkpoint(cfg, checkpoint))
    if tta:
        from .dense.views import average_views  # here, because it needs mmcv, whose import takes seconds

        cfg = average_views(cfg)
    if show_dir:
        cfg = change_settings(cfg, set_show_dir(cfg, show_dir))
    distributed.start_group(cfg.launcher)
    runner = build_runner(cfg, require_all_weights=True)
    try:
        return runner, runner.test()
    finally:
        runner.visualizer.close()


def build_runner(cfg: Config, require_all_weights: bool) -> StrictRunner:
    """The runner of a config, which also starts the process group where there are several processes."""
    runner = StrictRunner.from_cfg(cfg)
    runner.require_all_weights = require_all_weights
    return runner


def run_main(main: Callable[[], None]) -> None:
    """Run a tool. A user's mistake ends it with one line and exit code 2, a signal with the code that it asks for.

    Of several processes one tells the reason.
    """
    code = 2
    try:
        with console():
            main()
    except Stopped as stopped:
        if is_main_process():
            print(stopped, file=sys.stderr)
        return distributed.end_process(stopped.exit_code)
    except Exception as error:
        distributed.let_workers_end()
        found = user_line(error)
        if found is None:
            found, code = worker_failure(error) or disk_failure(error), 1
        if found is None and (found := peer_failure(error)) and telling.leave_to_launcher(f'error: {shown(found)}'):
            distributed.end_process(code)
        if found is None:
            if not isinstance(error, KeyError) and not telling.is_first_to_tell():
                distributed.end_process(code)
            raise
        line = found
    else:
        return distributed.end_process()
    if telling.is_first_to_tell():
        print(f'error: {shown(line)}', file=sys.stderr)
    distributed.end_process(code)
