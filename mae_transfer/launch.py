"""What tools/train.py and tools/test.py do between the command line and MMEngine's runner."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from .checks import check_classes, check_data, check_sizes, data_loaders, dataset_of
from .compat import distributed
from .data.own_classes import apply_classes
from .dense.checks import check_pooled_batch, check_windows
from .errors import UserError
from .optim.batch_plan import BatchPlan, apply_batch_plan
from .options import change_setting, read_config
from .runner import LoudRunner
from .vit.checkpoint import CheckpointError, find_checkpoint

READINGS = ('KNNLoop', 'FastProbeLoop')
_OF_IMAGENET = dict(
    dataset=dict(type='LabelledPhotos', split=None, classes='imagenet'), evaluator=dict(type='Accuracy', topk=(1, 5))
)
#: Other images of ImageNet's classes (MAE Table 13), by the names that ``--shift`` has for them.
SHIFTS = {
    **{name: _OF_IMAGENET for name in ('imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-v2')},
    'imagenet-c': dict(dataset=dict(type='ImageNetC'), evaluator=dict(type='CorruptionError')),
}
AMP_DTYPES = {'bf16': 'bfloat16', 'fp16': 'float16', 'off': 'float32'}


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing share."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go; default work_dirs/<the config below configs/>'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        default=[],
        help='change settings of the config, e.g. data_root=my/photos train_cfg.max_epochs=100 '
        "model.vit.arch=\"{'embed_dim': 192, 'depth': 5, 'num_heads': 3}\" (a dictionary replaces what was there)",
    )
    parser.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how the processes were started'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config of the command line, with its changes and work_dir.

    Raises:
        UserError: no such config file; a change that :func:`read_config` refuses; classes that :func:`apply_classes`
            refuses.
    """
    path = Path(args.config)
    if not path.is_file():
        raise UserError(f'config {path} does not exist; the configs lie in configs/')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(path, args.cfg_options)
    apply_classes(cfg)
    share_img_size(cfg)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(default_work_dir(path))
    distributed.adapt_to_cpu(cfg)
    return cfg


def share_img_size(cfg: Config) -> None:
    """Give the data sets of photos that state no ``img_size`` the ViT's, so that one setting decides."""
    img_size = (cfg.get('model', {}).get('vit') or {}).get('img_size')
    for dataset in map(dataset_of, data_loaders(cfg).values()):
        if img_size and dataset.get('type', '').rpartition('.')[2] in ('Photos', 'LabelledPhotos', 'ImageNetC'):
            dataset.setdefault('img_size', img_size)


def default_work_dir(config: Path) -> Path:
    """``work_dirs/`` and the config's path below ``configs/``: ``configs/small/mae_pretrain.py`` ->
    ``work_dirs/small/mae_pretrain``."""
    parts = config.with_suffix('').parts
    below = parts[::-1].index('configs') if 'configs' in parts else 1
    return Path('work_dirs', *parts[-max(1, below) :])


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
        raise UserError(
            "--amp needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'; the config has "
            f"'{wrapper.get('type')}'"
        )
    wrapper.dtype = AMP_DTYPES[amp]


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
    check_sizes(cfg, 'train', 'val')
    check_windows(cfg)
    check_pooled_batch(cfg, world_size(launcher))
    plan = apply_batch_plan(cfg, world_size(launcher))
    check_data(cfg, 'train', 'val')
    check_classes(cfg)
    source = cfg.get('pretrained')
    if source not in (None, 'none'):
        try:
            find_checkpoint(source)
        except CheckpointError as error:
            raise UserError(
                f'pretrained: {error}: pre-train first, or choose --cfg-options pretrained=FILE, or none for random '
                'weights'
            ) from error
    return plan


def judge(cfg: Config, checkpoint: str) -> Config:
    """The config with the checkpoint that it is to judge: a whole model, or the ViT alone for a protocol without
    training.

    Args:
        checkpoint: file or work_dir; 'none' for a ViT of random weights.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    cfg.resume = False
    reads_vit = cfg.test_cfg.get('type') in READINGS
    path = checkpoint if reads_vit and checkpoint == 'none' else str(find_checkpoint(checkpoint))
    if reads_vit:
        return change_setting(cfg, f'pretrained={path}')
    cfg.load_from = path
    return cfg


def judge_under_shift(cfg: Config, shift: str) -> None:
    """Have the test run judge an ImageNet classifier on another set of its classes.

    Args:
        shift: SET=FOLDER; sets are :data:`SHIFTS`.

    Raises:
        UserError: an unknown set; a config of no classifier of ImageNet's 1000 classes.
    """
    name, equals, folder = shift.partition('=')
    if name not in SHIFTS or not equals:
        raise UserError(
            f'--shift {shift}: give SET=FOLDER with one of {", ".join(SHIFTS)}, e.g. imagenet-a=data/imagenet-a'
        )
    if cfg.model.get('num_classes') != 1000:
        raise UserError(f'--shift needs a config with model.num_classes=1000; found {cfg.model.get("num_classes")}')
    dataset = cfg.test_dataloader.dataset
    kept = {key: dataset[key] for key in ('img_size', 'transform', 'mode', 'corruptions') if key in dataset}
    cfg.test_dataloader.dataset = ConfigDict(SHIFTS[name]['dataset'], data_root=folder, **kept)
    cfg.test_evaluator = ConfigDict(SHIFTS[name]['evaluator'])


def show_classes(cfg: Config) -> None:
    """Have the test run print a table of the classes.

    Raises:
        UserError: the config's evaluator has none, as in detection.
    """
    evaluator = cfg.test_evaluator
    if not isinstance(evaluator, dict) or evaluator.get('type', '').rpartition('.')[2] != 'Accuracy':
        raise UserError("--per-class needs test_evaluator.type='Accuracy', as the configs of classification have it")
    evaluator.per_class = True


def draw_predictions(cfg: Config, folder: str) -> None:
    """Have the test run write every prediction beside the truth into ``folder``.

    Raises:
        UserError: the config has no visualization hook, as in pre-training.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            '--show-dir needs a config with default_hooks.visualization; a pre-training draws its reconstructions by '
            'itself'
        )
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
        distributed.end_process()
    print(f'error: {line}', file=sys.stderr)
    distributed.end_process(2)


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
