"""Do the values that are measured while a ViT is pre-trained say how well its checkpoints fine-tune?

    tools/python -m mae_transfer.experiments.measured_while_training FOLDER --work-dir work_dirs/measured

FOLDER has train/<class>/ and val/<class>/. One pre-training keeps a checkpoint of every epoch and is measured at each
by ``LearningHook``; some checkpoints are then fine-tuned, all in the same way and from the same seed. The table,
<work-dir>/table.md, has the values and the rank correlations (Spearman) between each value and the fine-tuned accuracy.
What is complete is not done again. All runs in one process.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from scipy.stats import spearmanr

from ..compat.package_configs import find_config
from ..errors import UserError
from ..launch import build_runner, prepare_training, run_main
from ..learning.hook import HISTORY
from ..outputs import output_folder
from ..runs.resuming import checkpoints_of_run
from ..settings import change_settings, read_config
from ..vit.weights.checkpoint import read_checkpoint
from .tool_runs import package_file

#: Measured values: title in the table, and whether a larger value is meant to be better.
VALUES = {
    'reconstruction/masked_loss': ('masked loss', False),
    'learning/rank_me': ('RankMe', True),
    'knn/top1_k20': ('k-NN', True),
    'probe/top1': ('linear', True),
}
FINE_TUNED = 'accuracy/top1'


class _Ends(Hook):
    """Ends a run after the validation that a resumed run makes first."""

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        runner.train_loop.stop_training = True


class _Noted(Hook):
    """Notes the metrics of the last validation."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.metrics = dict(metrics or {})


def pretraining_config(path: str, data: str, work_dir: Path, options: Sequence[str], per_class: int | None) -> Config:
    """The pre-training: a checkpoint, a validation and a measurement after each epoch."""
    probe = dict(data_root=data, **({} if per_class is None else dict(per_class=per_class)))
    return change_settings(
        read_config(find_config(path), ['default_hooks.reconstructions=None', *options]),
        [
            ('data_root', data),
            ('probe_data', probe),
            ('train_cfg.val_interval', 1),
            ('default_hooks.checkpoint.interval', 1),
            ('default_hooks.checkpoint.max_keep_ckpts', -1),
            ('work_dir', str(work_dir)),
            ('launcher', 'none'),
        ],
    )


def pretrain(cfg: Config) -> None:
    """Pre-train to the end, from the last checkpoint on if there is one; nothing if it is at its end."""
    done = checkpoints_of_run(cfg.work_dir)
    if done and read_checkpoint(done[0])['meta']['epoch'] >= cfg.train_cfg.max_epochs:
        return
    train(change_settings(cfg, [('resume', bool(done))]))


def train(cfg: Config, *hooks: Hook) -> None:
    """Train by a config as tools/train.py does, in this process."""
    prepare_training(cfg)
    runner = build_runner(cfg, require_all_weights=False)
    for hook in hooks:
        runner.register_hook(hook, 'VERY_LOW')
    runner.train()


def course(cfg: Config, epochs: Sequence[int], work_dir: Path) -> dict[int, Mapping[str, float]]:
    """What was measured after each of these epochs.

    It is read from the last checkpoint. A run without ``LearningHook`` has no values there, and no run those of its
    last epoch: these are measured by resuming from the checkpoint, which makes the validation again and no step.
    """
    [last, *_] = checkpoints_of_run(cfg.work_dir)
    found = {entry['epoch']: entry for entry in read_checkpoint(last)['message_hub']['runtime_info'].get(HISTORY, [])}
    for epoch in epochs:
        if epoch not in found:
            file = work_dir / f'epoch_{epoch}.json'
            if not file.exists():
                again = [('resume', True), ('load_from', str(Path(cfg.work_dir, f'epoch_{epoch}.pth')))]
                noted = _Noted()
                train(change_settings(cfg, [*again, ('work_dir', str(work_dir / f'epoch_{epoch}'))]), noted, _Ends())
                file.write_text(json.dumps(noted.metrics))
            found[epoch] = json.loads(file.read_text())
    return {epoch: found[epoch] for epoch in epochs}


def fine_tune(path: str, data: str, weights: Path | str, work_dir: Path, options: Sequence[str]) -> float:
    """Fine-tune from weights, and give the last accuracy in per cent; read where it is there already."""
    file = work_dir.with_suffix('.json')
    if not file.exists():
        changes = [('data_root', data), ('pretrained', str(weights)), ('work_dir', str(work_dir)), ('launcher', 'none')]
        noted = _Noted()
        train(change_settings(read_config(find_config(path), options), changes), noted)
        if FINE_TUNED not in noted.metrics:
            raise UserError(f"{path} reports no '{FINE_TUNED}' at its end: give --finetune a config of classification")
        file.write_text(json.dumps(noted.metrics))
    return json.loads(file.read_text())[FINE_TUNED]


def table(rows: Mapping[int, Mapping[str, float]], tuned: Mapping[int, float]) -> str:
    """Markdown: a row for each epoch; then the rank correlation of each value with the fine-tuned accuracy.

    The sign is turned for values of which less is better, so that 1 is always the right order. Epoch 0, random weights
    of other seeds than the run's, has no part in it.
    """
    names = [name for name in VALUES if any(name in row for row in rows.values())]
    lines = [
        f'| epoch | {" | ".join(VALUES[name][0] for name in names)} | fine-tuned |',
        '|---' * (len(names) + 2) + '|',
    ]
    for epoch in sorted(tuned):
        cells = [f'{rows[epoch][name]:.4g}' if name in rows.get(epoch, {}) else '' for name in names]
        lines.append(f'| {epoch} | {" | ".join(cells)} | {tuned[epoch]:.1f} |')
    cells = [correlation(rows, tuned, name, VALUES[name][1]) for name in names]
    return '\n'.join([*lines, f'| Spearman | {" | ".join(cells)} | |'])


def correlation(rows: Mapping[int, Mapping[str, float]], tuned: Mapping[int, float], name: str, is_better: bool) -> str:
    """Spearman's rank correlation over the epochs after 0, and their number; '' for fewer than three."""
    epochs = [epoch for epoch in sorted(tuned) if epoch and name in rows.get(epoch, {})]
    if len(epochs) < 3:
        return ''
    sign = 1 if is_better else -1
    found: Any = spearmanr([sign * rows[epoch][name] for epoch in epochs], [tuned[epoch] for epoch in epochs])
    return f'{found.statistic:.2f} (n={len(epochs)}, p={found.pvalue:.2g})'


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', metavar='FOLDER', help='labelled images: train/<class>/, val/<class>/')
    parser.add_argument('--work-dir', required=True, type=Path, help='folder for runs and table')
    parser.add_argument('--pretrain', default=package_file('configs', 'small', 'mae_pretrain_tin20.py'))
    parser.add_argument('--finetune', default=package_file('configs', 'small', 'finetune_tin20.py'))
    parser.add_argument('--epochs', nargs='+', type=int, default=[1, 2, 3, 4, 6, 8, 10, 12], help='default %(default)s')
    parser.add_argument(
        '--per-class', type=int, metavar='N', help='labelled images of each class to learn from; default all'
    )
    parser.add_argument('--pretrain-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE')
    parser.add_argument('--finetune-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE')
    args = parser.parse_args()
    if min(args.epochs) < 0:
        raise UserError(f'--epochs are whole numbers, 0 (random weights) or more; found {args.epochs}')
    args.epochs = sorted({*args.epochs})
    args.work_dir = output_folder(args.work_dir, '--work-dir')
    return args


def main() -> None:
    """Run what is not complete yet, and write the table."""
    args = parse_args()
    cfg = pretraining_config(
        args.pretrain, args.data, args.work_dir / 'pretrain', args.pretrain_options, args.per_class
    )
    if args.epochs[-1] > (length := cfg.train_cfg.max_epochs):
        raise UserError(
            f'--epochs: {args.epochs[-1]} is beyond the {length} of the pre-training: --pretrain-options max_epochs=...'
        )
    pretrain(cfg)
    options = list(args.finetune_options)
    if args.per_class is not None:
        options.append(f'train_dataloader.dataset.per_class={args.per_class}')
    tuned: dict[int, float] = {}
    rows = dict(course(cfg, [epoch for epoch in args.epochs if epoch], args.work_dir / 'measured'))
    for epoch in args.epochs:
        weights = Path(cfg.work_dir, f'epoch_{epoch}.pth') if epoch else 'none'
        tuned[epoch] = fine_tune(
            args.finetune, args.data, weights, args.work_dir / 'finetuned' / f'epoch_{epoch}', options
        )
        (args.work_dir / 'table.md').write_text(table(rows, tuned) + '\n')
    print('\n' + table(rows, tuned))


if __name__ == '__main__':
    run_main(main)
