"""From the command line of tools/train.py and tools/test.py to MMEngine's runner."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import HOOKS, LOOPS, METRICS, OPTIM_WRAPPERS

from .checks import check_config
from .classify.features import FeatureLoop
from .compat import distributed, telling
from .compat.package_configs import PREFIX, find_config
from .errors import UserError, own_line
from .evaluation import Accuracy
from .kinds import class_of, is_kind, takes, unknown_type
from .optim import AutocastOptimWrapper
from .optim.batch_plan import plan_of
from .outputs import output_folder
from .paths import shown
from .runner import StrictRunner
from .runs.stop_signals import Stopped
from .settings import change_settings, read_config
from .vit.weights.checkpoint import CheckpointError, find_checkpoint

#: What an option of a tool, such as ``--amp``, sets: pairs of a dotted key and a value.
Changes = list[tuple[str, Any]]

_IMAGENET: tuple[dict, dict] = (
    dict(type='mae_transfer.LabelledPhotos', split=None, classes='imagenet'),
    dict(type='Accuracy', topk=(1, 5)),
)
#: Other images of ImageNet's classes (MAE Table 13), by the names that ``--shift`` has for them: data set and
#: evaluator.
SHIFTS: dict[str, tuple[dict, dict]] = {
    **dict.fromkeys(('imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-v2'), _IMAGENET),
    'imagenet-c': (dict(type='mae_transfer.ImageNetC'), dict(type='CorruptionError')),
}
AMP_DTYPES = {'bf16': 'bfloat16', 'fp16': 'float16', 'off': 'float32'}


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
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config of the command line, with its changes, launcher and work_dir; references are resolved.

    Raises:
        UserError: no such config file; a change that :func:`~mae_transfer.settings.change_settings` refuses; a work_dir
            that cannot be written to.
    """
    path = find_config(args.config)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(path, args.cfg_options)
    work_dir = args.work_dir or cfg.get('work_dir') or str(default_work_dir(path))
    option = '--work-dir' if args.work_dir else 'work_dir'
    output_folder(work_dir, option, create=False)
    if shown(work_dir) != work_dir:
        raise UserError(f"{option}: files of the run name its folder, but '{shown(work_dir)}' is no text: rename it")
    return change_settings(cfg, [('launcher', args.launcher), ('work_dir', work_dir)])


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
        UserError: impossible numbers, settings that do not exist, missing data or weights.
    """
    processes = world_size(cfg.launcher)
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


# What the options of the tools set ------------------------------------------------------------------------------------


def set_amp(cfg: Config, amp: str) -> Changes:
    """Train in the precision that ``--amp`` names.

    Raises:
        UserError: the config's optimiser wrapper knows no precision.
    """
    if not is_kind(cfg.get('optim_wrapper'), OPTIM_WRAPPERS, cfg.get('default_scope'), AutocastOptimWrapper):
        found = (cfg.get('optim_wrapper') or {}).get('type')
        raise UserError(f"--amp needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'; the config has '{found}'")
    return [('optim_wrapper.dtype', AMP_DTYPES[amp])]


def set_checkpoint(cfg: Config, checkpoint: str) -> Changes:
    """Test a checkpoint: of the whole model, or of the ViT alone for a protocol without training (k-NN, fast probe).

    Args:
        checkpoint: file or work_dir; 'none' for a ViT of random weights.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    if not is_kind(cfg.test_cfg, LOOPS, cfg.get('default_scope'), FeatureLoop):
        return [('resume', False), ('load_from', str(find_checkpoint(checkpoint)))]
    return [('resume', False), ('pretrained', 'none' if checkpoint == 'none' else str(find_checkpoint(checkpoint)))]


def set_shift(cfg: Config, shift: str) -> Changes:
    """Test an ImageNet classifier on another set of its classes.

    Args:
        shift: SET=FOLDER; sets are :data:`SHIFTS`.

    Raises:
        UserError: an unknown set; a config of no classifier of ImageNet's 1000 classes.
    """
    name, equals, folder = shift.partition('=')
    if name not in SHIFTS or not equals or not folder.strip():
        raise UserError(
            f'--shift {shift}: give SET=FOLDER with one of {", ".join(SHIFTS)}, e.g. imagenet-a=data/imagenet-a'
        )
    if cfg.model.get('num_classes') != 1000:
        raise UserError(f'--shift needs a config with model.num_classes=1000; found {cfg.model.get("num_classes")}')
    dataset, evaluator = SHIFTS[name]
    own = cfg.test_dataloader.dataset
    kept = {
        key: own[key] for key in ('img_size', 'transform', 'bands', 'exif_orientation', 'corruptions') if key in own
    }
    return [('test_dataloader.dataset', {**dataset, 'data_root': folder, **kept}), ('test_evaluator', {**evaluator})]


def set_per_class(cfg: Config) -> Changes:
    """Print a table of the classes after a test.

    Raises:
        UserError: the config's evaluator has none, as in detection.
    """
    if not is_kind(cfg.test_evaluator, METRICS, cfg.get('default_scope'), Accuracy):
        raise UserError("--per-class needs test_evaluator.type='Accuracy', as the configs of classification have it")
    return [('test_evaluator.per_class', True)]


def set_show_dir(cfg: Config, folder: str) -> Changes:
    """Write every prediction and the truth as a picture into ``folder``.

    Raises:
        UserError: the config has no visualization hook, as in pre-training; the folder cannot be written to.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            '--show-dir needs a config with default_hooks.visualization; a pre-training draws its reconstructions '
            'itself'
        )
    folder = str(output_folder(folder, '--show-dir', create=False).absolute())
    changes = [('default_hooks.visualization.draw', True), ('default_hooks.visualization.interval', 1)]
    own = takes(class_of(hook, HOOKS, cfg.get('default_scope')), 'test_out_dir')
    return [*changes, ('default_hooks.visualization.test_out_dir' if own else 'visualizer.save_dir', folder)]


# Running --------------------------------------------------------------------------------------------------------------


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
        main()
    except UserError as error:
        line = own_line(error)
    except Stopped as stopped:
        if is_main_process():
            print(stopped, file=sys.stderr)
        return distributed.end_process(stopped.exit_code)
    except KeyError as error:
        if (found := unknown_type(error)) is None:
            raise
        line = found
    except Exception as error:
        found, code = worker_failure(error) or disk_failure(error), 1
        if found is None and (found := peer_failure(error)) and telling.leave_to_launcher(f'error: {shown(found)}'):
            distributed.end_process(code)
        if found is None:
            if not telling.is_first_to_tell():
                distributed.end_process(code)
            raise
        line = found
    else:
        return distributed.end_process()
    if telling.is_first_to_tell():
        print(f'error: {shown(line)}', file=sys.stderr)
    distributed.end_process(code)


def worker_failure(error: Exception) -> str | None:
    """One line for an error that says that a data loader's worker has ended; None for another error."""
    worker = re.search(r'DataLoader worker .*?(?:killed by signal: (\w+)|exited unexpectedly)', str(error))
    modules = (frame.f_globals.get('__name__') for frame, _ in traceback.walk_tb(error.__traceback__))
    is_of_pipe = not isinstance(error, RuntimeError) and 'torch.utils.data.dataloader' in modules
    if not worker and not is_of_pipe:
        return None
    how = f'was ended by the signal {worker[1]}' if worker and worker[1] else 'ended unexpectedly'
    return (
        f"a data loader's worker {how}, as when the memory is full: lower train_dataloader.num_workers or "
        'prefetch_factor, then --resume'
    )


def disk_failure(error: Exception) -> str | None:
    """One line for an error that says that a disk is full, or a file too large for it; None for another error."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    return f'{error.filename or "a file"} cannot be written: {error.strerror}: make room there, then --resume'


def peer_failure(error: Exception) -> str | None:
    """One line for an error that says that another process of the run has ended; None for another error."""
    message = str(error)
    ended = r'Connection (closed by peer|reset by peer|refused)|Broken pipe|Timed out waiting'
    if not telling.has_several_processes() or not re.search(ended, message):
        return None
    cause = message.strip().splitlines()[0][:160]
    return f'another process of the run has ended or does not answer ({cause}): go on by --resume'
