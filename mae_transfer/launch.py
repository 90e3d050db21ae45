"""What tools/train.py and tools/test.py do between the command line and MMEngine's runner."""
from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from .compat import distributed
from .errors import UserError
from .optim.batch_plan import BatchPlan, apply_batch_plan
from .options import change_setting
from .runner import LoudRunner
from .vit.checkpoint import CheckpointError, find_checkpoint
from .vit.sizes import resolve_size

AMP_DTYPES = {'bf16': 'bfloat16', 'fp16': 'float16', 'off': 'float32'}


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing share."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; default work_dirs/<the config below configs/>')
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', default=[],
                        help="change settings of the config, e.g. data_root=my/photos train_cfg.max_epochs=100 "
                             "model.vit.arch=\"{'embed_dim': 192, 'depth': 5, 'num_heads': 3}\" (a dictionary replaces what was there)")
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how the processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config of the command line, with its changes and work_dir.

    Raises:
        UserError: no such config file; a change that :func:`change_setting` refuses.
    """
    path = Path(args.config)
    if not path.is_file():
        raise UserError(f'config {path} does not exist; the configs lie in configs/')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(path)
    for option in args.cfg_options:
        cfg = change_setting(cfg, option)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(default_work_dir(path))
    distributed.adapt_to_cpu(cfg)
    return cfg


def default_work_dir(config: Path) -> Path:
    """``work_dirs/`` and the config's path below ``configs/``: ``configs/small/mae_pretrain.py`` -> ``work_dirs/small/mae_pretrain``."""
    parts = config.with_suffix('').parts
    below = parts[::-1].index('configs') if 'configs' in parts else 1
    return Path('work_dirs', *parts[-max(1, below):])


def world_size(launcher: str) -> int:
    """Number of processes that the launcher started."""
    name = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS'}.get(launcher)
    return int(os.environ.get(name, 1)) if name else 1


def set_amp(cfg: Config, amp: str | None) -> None:
    """Give the optimiser wrapper the precision that ``--amp`` names; None leaves the config's.

    Raises:
        UserError: the config's wrapper knows no precision.
    """
    if amp is None:
        return
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', '').rpartition('.')[2] != 'AutocastOptimWrapper':
        raise UserError(f"--amp needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'; the config has '{wrapper.get('type')}'")
    wrapper.dtype = AMP_DTYPES[amp]


def check_data(cfg: Config, *loaders: str) -> None:
    """Find missing data before anything is built.

    Raises:
        UserError: an annotation file, an image folder or a data root that does not exist or is empty.
    """
    for loader in loaders:
        dataset = (cfg.get(loader) or {}).get('dataset')
        while isinstance(dataset, dict) and isinstance(dataset.get('dataset'), dict):
            dataset = dataset['dataset']
        if not isinstance(dataset, dict):
            continue
        root = Path(dataset.get('data_root') or '')
        prefixes = dataset.get('data_prefix') or {}
        folders = [root / prefix for prefix in prefixes.values() if isinstance(prefix, str)]
        for path in [root, *folders]:
            if not path.exists():
                raise UserError(f'{loader}: {path} does not exist: set the data root, e.g. --cfg-options data_root=path/to/data')
            if path.is_dir() and not any(path.iterdir()):
                raise UserError(f'{loader}: folder {path} is empty')
        if dataset.get('ann_file') and not (root / dataset['ann_file']).is_file():
            raise UserError(f'{loader}: annotation file {root / dataset["ann_file"]} does not exist: set the data root, '
                            'e.g. --cfg-options data_root=path/to/data')


def check_sizes(cfg: Config, *loaders: str) -> None:
    """Find numbers that cannot be before anything is built.

    Raises:
        UserError: a batch of no image; crops for pre-training that the patch does not divide.
    """
    for key, value in ((f'{loader}.batch_size', (cfg.get(loader) or {}).get('batch_size', 1)) for loader in loaders):
        if not isinstance(value, int) or value < 1:
            raise UserError(f'{key} is a whole number of images, 1 or more; found {value}')
    vit = cfg.model.get('vit')
    if not isinstance(vit, dict):
        return
    patch = vit.get('patch_size') or resolve_size(vit.get('arch', 'base')).patch_size
    for where in loaders:
        dataset = (cfg.get(where) or {}).get('dataset') or {}
        sides = dataset.get('img_size') or patch
        for side in sides if isinstance(sides, (list, tuple)) else [sides]:
            if side % patch:
                raise UserError(f'{where}.dataset.img_size {side} is not divisible by patch_size {patch}: choose a multiple, '
                                f'e.g. {max(1, side // patch) * patch}')


def build_runner(cfg: Config, complete: bool) -> Runner:
    """The runner of a config, after the process group, where one is needed, has been started."""
    runner = LoudRunner.from_cfg(cfg)
    runner.complete = complete
    return runner


def prepare_training(cfg: Config, launcher: str) -> BatchPlan | None:
    """All that must be known before a training run is built: batch plan, data, weights to start from.

    Returns:
        The plan, already written into the config; None for a config that states its learning rate itself.

    Raises:
        UserError: an impossible batch or crop; data or weights that are not there.
    """
    check_sizes(cfg, 'train_dataloader', 'val_dataloader')
    if (cfg.get('total_batch_size') or 1) < 1:
        raise UserError(f'total_batch_size is a positive number of images; found {cfg.total_batch_size}')
    plan = apply_batch_plan(cfg, world_size(launcher))
    check_data(cfg, 'train_dataloader', 'val_dataloader')
    source = cfg.get('pretrained')
    if source not in (None, 'none'):
        try:
            find_checkpoint(source)
        except CheckpointError as error:
            raise UserError(f'pretrained: {error}: pre-train first, or choose --cfg-options pretrained=FILE, or none for random '
                            'weights') from error
    return plan


def draw_predictions(cfg: Config, folder: str) -> None:
    """Have the test run write every prediction beside the truth into ``folder``.

    Raises:
        UserError: the config has no visualization hook, as in pre-training.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError('--show-dir needs a config with default_hooks.visualization; a pre-training draws its reconstructions by itself')
    hook.update(draw=True, interval=1)
    if hook.type.endswith('DetVisualizationHook'):
        hook.test_out_dir = str(Path(folder).absolute())
    else:
        cfg.visualizer.save_dir = str(Path(folder).absolute())


def run_main(main: Callable[[], None]) -> None:
    """Run a tool; a mistake of the user's ends it with one line and exit code 2."""
    try:
        main()
    except UserError as error:
        # A data loader's worker puts its traceback before the line.
        line = re.sub(r'^[\w.]+Error: ', '', str(error).strip().splitlines()[-1])
    except (TypeError, KeyError) as error:
        if (line := _option_at_fault(error)) is None:
            raise
    else:
        return
    print(f'error: {line}', file=sys.stderr)
    sys.exit(2)


def _option_at_fault(error: Exception) -> str | None:
    """The line for a setting or a type of the command line's that is not there; None for every other error."""
    text = str(error.args[0]) if error.args else ''
    setting = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    kind = re.match(r'(\S+) is not in the \S+ registry', text)
    for option in sys.argv:
        key, _, value = option.partition('=')
        if setting and key.rpartition('.')[2] == setting[2]:
            return f"--cfg-options {key}: {setting[1]} has no setting '{setting[2]}'"
        if kind and key.rpartition('.')[2] == 'type' and value.strip('\'"') == kind[1]:
            return f'--cfg-options {option}: there is no such type; is it misspelt, or not imported (custom_imports)?'
    return None
