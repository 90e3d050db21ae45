"""Evaluation protocols for pre-trained ViTs: k-NN, linear probing, partial and full fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from ..compat.package_configs import find_config
from ..errors import UserError
from .tool_runs import run_once

#: The protocols on frozen features, which tools/test.py runs, and the metric of each that the tables show.
TEST_METRICS = {'knn': 'knn/top1_k20', 'fastprobe': 'probe/top1'}
#: The metric of all other protocols, which tools/train.py runs.
TRAIN_METRIC = 'accuracy/top1'


class EvaluationRun(NamedTuple):
    """The evaluation of one ViT by one protocol, run as a user would run it.

    Args:
        weights: work_dir or file of the ViT; 'none' for random weights.
        protocol: 'knn', 'fastprobe', 'finetune', or the number of blocks that are tuned: '0', '.5', '1', ...
        seed: random seed of the run.
    """

    weights: str
    protocol: str
    seed: int

    def folder(self, work_dir: Path) -> Path:
        """The folder that the run writes to, below the ``work_dir`` of all runs."""
        return work_dir / f'{Path(self.weights).stem}_{protocol_title(self.protocol).replace(" ", "_")}_seed{self.seed}'

    def top1(self, work_dir: Path) -> float | None:
        """The run's last top-1 accuracy in per cent; None if the run is not completed.

        Raises:
            UserError: the run has not measured the metric that the tables show.
        """
        folder = self.folder(work_dir)
        if not (folder / 'done').exists():
            return None
        metric = TEST_METRICS.get(self.protocol, TRAIN_METRIC)
        # MMEngine names the folder of each start by its time.
        newest = max(folder.glob('*/*.json' if self.protocol in TEST_METRICS else '*/vis_data/scalars.json'))
        lines = [line for line in newest.read_text().splitlines() if f'"{metric}"' in line]
        if not lines:
            raise UserError(f"{newest} has no '{metric}', which the table shows: choose options that measure it")
        return json.loads(lines[-1])[metric]

    def run(self, work_dir: Path, configs: str, options: Sequence[str], name: str = '') -> None:
        """Run the evaluation, unless it is completed already.

        Args:
            work_dir: folder of all runs.
            configs: see :func:`config_name`.
            options: ``KEY=VALUE`` for ``--cfg-options``.
            name: put before the folder's name in messages.

        Raises:
            UserError: the run failed.
        """
        folder, config = self.folder(work_dir), config_name(self.protocol, configs)
        output = ['--work-dir', str(folder), '--cfg-options', f'randomness.seed={self.seed}', *options]
        if self.protocol == 'fastprobe':
            output.append(f'test_cfg.seed={self.seed}')
        if self.protocol in TEST_METRICS:
            tool, arguments = 'test', [config, self.weights, *output]
        else:
            blocks = 'None' if self.protocol == 'finetune' else self.protocol
            tool, arguments = 'train', [config, *output, f'pretrained={self.weights}', f'model.tuned_blocks={blocks}']
        name = f'{name}, {folder.name}' if name else folder.name
        if run_once(folder, tool, arguments, name):
            print(f'{name}: {self.top1(work_dir):.2f}', flush=True)


def protocol_title(protocol: str) -> str:
    """The heading of a protocol's column in a table of results."""
    return {'knn': 'k-NN', 'fastprobe': 'linear', 'finetune': 'fine-tune'}.get(protocol, f'tuned {protocol}')


def config_name(protocol: str, configs: str) -> str:
    """The config of a protocol.

    Args:
        configs: path, or ``mae_transfer::NAME.py``, with {} in place of knn, fastprobe or finetune; partial
            fine-tuning uses the finetune config, too.
    """
    return configs.replace('{}', protocol if protocol in TEST_METRICS else 'finetune')


def check_protocols(protocols: Sequence[str], configs: str, option: str) -> None:
    """Check that the protocols and their configs exist.

    Args:
        configs: see :func:`config_name`.
        option: the command-line option that gives ``configs``, for the error message.

    Raises:
        UserError: an unknown protocol; a config that does not exist.
    """
    for protocol in protocols:
        if protocol not in (*TEST_METRICS, 'finetune') and not protocol.replace('.', '', 1).isdecimal():
            raise UserError(
                f"unknown protocol '{protocol}': choose knn, fastprobe, finetune or a number of blocks to tune"
            )
        find_config(config_name(protocol, configs), f'{option} {configs}')


def table_cell(values: Sequence[float]) -> str:
    """Markdown of the mean over the seeds, followed by each seed's value in brackets; empty without values."""
    if not values:
        return ''
    return f'**{mean(values):.1f}** ({", ".join(f"{value:.1f}" for value in values)})'
