"""Running a step again that was left out because its gradients were not finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import UserError
from ..launch import world_size
from ..runner import StrictRunner
from ..settings import change_settings, read_config
from ..vit.weights.checkpoint import read_checkpoint


class _Done(Exception):
    """The step was made."""


class _ReplayHook(Hook):
    """Notes the losses of so many forward passes and the layers whose output is not finite, then ends the run."""

    def __init__(self, iterations: int):
        self.iterations = iterations
        self.losses: list[float] = []
        self.layers: list[str] = []

    def before_train(self, runner: Runner) -> None:
        for name, module in runner.model.named_modules():
            if not any(True for _ in module.children()):
                module.register_forward_hook(self._look(name))

    def _look(self, name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and not output.isfinite().all():
                self.layers.append(name)

        return look

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        self.losses.append(float((outputs or {})['loss'].detach()))
        if len(self.losses) == self.iterations:
            raise _Done


def replay(path: Path, options: Sequence[str], launcher: str, work_dir: str) -> Iterator[str]:
    """Run the step of a file again; the lines to print.

    Args:
        path: a file that :class:`~mae_transfer.hooks.StepGuardHook` wrote.
        options: ``KEY=VALUE``, changes of the run's settings.
        launcher: as in tools/train.py; the processes have been started.
        work_dir: for logs.

    Raises:
        UserError: the file holds no step; another number of processes than made it.
    """
    meta = read_checkpoint(path).get('meta', {})
    if 'step' not in meta:
        raise UserError(f'{path} is no step that was left out: name a file of steps_not_finite/ in the work_dir')
    step = meta['step']
    if (processes := len(step['items'])) != world_size(launcher):
        raise UserError(
            f'{path} is a step of {processes} processes; found {world_size(launcher)}: torchrun --nproc_per_node '
            f'{processes} tools/replay.py {path} --launcher pytorch'
        )
    config = Path(work_dir, 'config.py')
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(meta['cfg'])
    cfg = read_config(config, options)
    fixed = dict(work_dir=work_dir, launcher=launcher, load_from=str(path), resume=True, log_level='ERROR')
    fixed.update(val_cfg=None, val_dataloader=None, val_evaluator=None)  # one may be due before the step
    hooks = {f'default_hooks.{name}': None for name in ('checkpoint', 'step_guard') if name in cfg.default_hooks}
    runner = StrictRunner.from_cfg(change_settings(cfg, [*{**fixed, **hooks}.items()]))
    watch = _ReplayHook(step['iterations'])
    runner.register_hook(watch, 'ABOVE_NORMAL')  # after the losses of all processes are averaged
    try:
        runner.train()
    except _Done:
        pass
    if not is_main_process():
        return
    yield f'{step["iterations"]} forward passes of {processes} processes from iteration {meta["iter"]} on'
    for number, passes in enumerate(step['items']):
        for iteration, items in enumerate(passes, meta['iter'] + 1):
            yield from (f'iteration {iteration}, process {number}: {file}, seed {seed}' for file, seed in items)
    yield f'loss then {step["losses"]}, now {watch.losses}'
    yield f'norm of the gradients then {step["grad_norm"]:g}, now {float(runner.optim_wrapper.grad_norm):g}'
    if watch.layers:
        yield f'the first layer whose output is not finite: {watch.layers[0]}, of {len(watch.layers)}'
    else:
        yield 'the output of every layer is finite: the gradients overflow in the backward pass'
