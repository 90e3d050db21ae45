"""Try what runs promise (docs/reliability.md) on this machine's device, a GPU where there is one.

    python -m mae_transfer.benchmarks.device_runs

A small MAE is trained on the package's own scenes. ``repeated``: a run that writes its checkpoints in the background
ends as one that writes them in the foreground. ``resumed``: so does one that goes on from a checkpoint in its middle.
``launched``: and one that torchrun started, with one process: NCCL on a GPU. All of them bit by bit where the device
computes the same twice; else no further apart than ten times ``repeated``. ``float16``: steps whose gradients overflow
change nothing and lower the loss scale, until one does not; and a run in float16 ends with a finite loss.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.device import get_device
from torch import Tensor

from .. import launch
from ..data.scenes.quickstart import write_scenes
from ..errors import UserError
from ..experiments.tool_runs import package_file
from ..hooks.step_guard import FOLDER as NOT_FINITE
from ..optim import AutocastOptimWrapper
from ..runs.fingerprint import fingerprint
from ..vit.weights.checkpoint import find_checkpoint, read_checkpoint
from .backbones import Setup
from .pretrain_sides import Work, build_ours
from .ratios import markdown

_PHOTOS, _STEPS = 48, 18
_SETTINGS = [
    *('arch=64x2x2', 'total_batch_size=8', 'train_dataloader.batch_size=8', 'max_epochs=3'),
    *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=3'),
    *('default_hooks.checkpoint.max_keep_ckpts=-1', 'default_hooks.logger.interval=1', 'train_cfg.val_interval=3'),
]
#: How much further apart than two runs of the same command others may be: rounding is carried on by training.
_MARGIN = 10


class Runs:
    """The runs of all checks.

    Args:
        folder: of the scenes and the work_dirs.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        write_scenes(folder, photos=_PHOTOS, train=1, val=1, size=64)

    def train(self, name: str, *options: str, launched: bool = False, resume: bool = False) -> dict:
        """Train in a new process, and give the last checkpoint.

        Raises:
            UserError: the run failed.
        """
        config = package_file('configs', 'quickstart', 'mae_pretrain.py')
        command = [sys.executable, package_file('tools', 'train.py'), config]
        if launched:
            command = [package_file('tools', 'dist_train.sh'), config, '1']
        command += ['--work-dir', str(self.folder / name), *(['--resume'] if resume else [])]
        command += ['--cfg-options', f'data_root={self.folder / "photos"}', *_SETTINGS, *options]
        log, environment = self.folder / f'{name}.txt', dict(os.environ, PYTHON=sys.executable, PORT=str(_free_port()))
        with log.open('w') as file:
            code = subprocess.run(command, stdout=file, stderr=file, env=environment).returncode
        if code:
            last = log.read_text(errors='replace').strip().splitlines()[-1:]
            raise UserError(f'{name} ended with exit code {code}: {" ".join(last)} ({log})')
        return read_checkpoint(find_checkpoint(self.folder / name))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def difference(one: dict, other: dict) -> float:
    """How far the weights of two checkpoints are apart, as a share of their norm; 0 only for equal runs, bit by bit."""
    if fingerprint(one) == fingerprint(other):
        return 0.0
    weights = [torch.cat([_flat(value) for value in run['state_dict'].values()]) for run in (one, other)]
    # Runs whose weights are the same may differ in their moments or losses.
    return max(((weights[0] - weights[1]).norm() / weights[0].norm()).item(), 1e-12)


def _flat(value: Tensor) -> Tensor:
    return value.flatten().double()


def compare_runs(folder: Path) -> list[tuple[str, str, bool]]:
    """(check, what was found, whether it is as promised) of the runs that must end alike."""
    runs = Runs(folder)
    whole = runs.train('whole', 'default_hooks.checkpoint.background=True')
    apart = {'repeated': difference(whole, runs.train('repeated'))}
    middle = folder / 'whole' / f'iter_{_STEPS // 2}.pth'
    (folder / 'resumed').mkdir(exist_ok=True)
    shutil.copy(middle, folder / 'resumed')
    resumed = runs.train('resumed', resume=True)
    if 'resumed epoch' not in (folder / 'resumed.txt').read_text(errors='replace'):
        raise UserError(f'the run in {folder / "resumed"} did not go on from {middle.name}')
    apart['resumed'] = difference(whole, resumed)
    apart['launched'] = difference(whole, runs.train('launched', launched=True))
    allowed = _MARGIN * apart['repeated']
    # What two equal commands give differs only where the device does not compute the same twice.
    found = [('repeated', apart['repeated'], apart['repeated'] < 1e-3 if get_device() != 'cpu' else not allowed)]
    found += [(name, apart[name], apart[name] <= allowed) for name in ('resumed', 'launched')]
    return [(name, f'weights differ by {value:.1e}' if value else 'equal bit by bit', ok) for name, value, ok in found]


def skip_steps() -> tuple[str, str, bool]:
    """Steps in float16 of a loss so large that gradients overflow at first."""
    device = get_device()
    model = build_ours(Work(Setup('64x2x2', batch=2), image_size=64, decoder='32x1x2').config()).to(device).train()
    wrapper = AutocastOptimWrapper('float16', optimizer=torch.optim.AdamW(model.parameters(), lr=1e-3))
    images, seeds, left_out, as_promised = torch.randn(2, 3, 64, 64, device=device), torch.arange(2), 0, True
    for _ in range(30):
        before, scale = [weight.clone() for weight in model.parameters()], wrapper.scaler.get_scale()
        with wrapper.optim_context(model):
            loss = 1e4 * model(images, seeds.to(device))['loss']
        wrapper.update_params(loss)
        changed = any(not torch.equal(one, other) for one, other in zip(before, model.parameters()))
        if not wrapper.is_skipped:
            break
        left_out += 1
        as_promised = as_promised and not changed and wrapper.scaler.get_scale() == scale / 2
    as_promised = as_promised and left_out > 0 and changed and not wrapper.is_skipped
    return 'float16, overflow', f'{left_out} steps left out, then scale {wrapper.scaler.get_scale():g}', as_promised


def train_in_float16(folder: Path) -> tuple[str, str, bool]:
    """A run in float16."""
    runs = Runs(folder)
    found = runs.train('float16', 'optim_wrapper.dtype=float16')
    scale = found['optimizer']['loss_scaler']['scale']
    losses = torch.as_tensor(found['message_hub']['log_scalars']['train/loss'].data[0])
    kept = len(list((folder / 'float16' / NOT_FINITE).glob('*')))
    text = f'loss {losses[0]:.3f} to {losses[-1]:.3f}, loss scale {scale:g}, {kept} steps not finite'
    return 'float16, a run', text, bool(losses.isfinite().all()) and kept == 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/device_runs'), help='default %(default)s')
    folder = parser.parse_args().work_dir.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f'--work-dir: {folder} is not empty: name another folder, or remove it')
    checks: list[Callable[[], list[tuple[str, str, bool]]]] = [
        lambda: [skip_steps()],
        lambda: [train_in_float16(folder / 'float16')],
        lambda: compare_runs(folder / 'alike'),
    ]
    found = [row for check in checks for row in check()]
    print(f'on {get_device()}\n\n' + markdown(('check', 'found', ''), [_row(*row) for row in found]))
    if wrong := [name for name, _, ok in found if not ok]:
        raise UserError(f'not as promised: {", ".join(wrong)}')


def _row(name: str, text: str, ok: bool) -> list[str]:
    return [name, text, 'as promised' if ok else 'NOT as promised']


if __name__ == '__main__':
    launch.run_main(main)
