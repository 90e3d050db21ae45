"""What tools/read_vit.py and tools/ablate.py share: runs of tools/train.py and tools/test.py that are done once, and
their accuracy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from mae_transfer.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
#: reading without training -> the metric that the table shows
JUDGED = {'knn': 'knn/top1_k20', 'fastprobe': 'probe/top1'}


class Reading(NamedTuple):
    """One reading of one ViT.

    Args:
        weights: work_dir or file of the ViT; 'none' for random weights.
        kind: a key of :data:`JUDGED`, or how many blocks are tuned: '0', '.5', '1', ... 'all'.
        seed: of the run.
    """

    weights: str
    kind: str
    seed: int

    def folder(self, work_dir: Path) -> Path:
        """Where the run writes."""
        return work_dir / f'{Path(self.weights).stem}_{title(self.kind).replace(" ", "_")}_seed{self.seed}'

    def top1(self, work_dir: Path) -> float | None:
        """The run's last accuracy in per cent; None where it is not done."""
        folder = self.folder(work_dir)
        if not (folder / 'done').exists():
            return None
        pattern, metric = (
            ('*/*.json', JUDGED[self.kind]) if self.kind in JUDGED else ('*/vis_data/scalars.json', 'accuracy/top1')
        )
        newest = max(folder.glob(pattern), key=lambda path: path.parent if self.kind in JUDGED else path.parent.parent)
        return [json.loads(line) for line in newest.read_text().splitlines() if f'"{metric}"' in line][-1][metric]

    def carry_out(self, work_dir: Path, configs: str, options: Sequence[str], name: str = '') -> None:
        """Do the run if it is not done yet.

        Args:
            configs: path of the configs, with {} for the kind of reading.
            options: settings as of ``--cfg-options``.
            name: what the weights are called in messages; default as their file or folder.

        Raises:
            UserError: the run failed.
        """
        judged = self.kind in JUDGED
        options = [f'randomness.seed={self.seed}', *options]
        if self.kind == 'fastprobe':
            options.append(f'test_cfg.seed={self.seed}')
        if not judged:
            options += [
                f'pretrained={self.weights}',
                f'model.tuned_blocks={"None" if self.kind == "all" else self.kind}',
            ]
        folder = self.folder(work_dir)
        command = [
            'test' if judged else 'train',
            config_of(self.kind, configs),
            *([self.weights] if judged else []),
            '--work-dir',
            str(folder),
            '--cfg-options',
            *options,
        ]
        name = f'{name}, {folder.name}' if name else folder.name
        if run_once(folder, command, name):
            print(f'{name}: {self.top1(work_dir):.2f}', flush=True)


def title(kind: str) -> str:
    """The column of a kind of reading in the table."""
    return {'knn': 'k-NN', 'fastprobe': 'linear', 'all': 'fine-tune'}.get(kind, f'tuned {kind}')


def config_of(kind: str, configs: str) -> str:
    """The config of a kind of reading, of those that the pattern names."""
    return configs.format(kind if kind in JUDGED else 'finetune')


def check_configs(kinds: Sequence[str], configs: str, option: str) -> None:
    """Refuse a pattern, given by a tool's ``option``, that names a config which is not there.

    Raises:
        UserError: it does.
    """
    for kind in kinds:
        config = config_of(kind, configs)
        if not (ROOT / config).is_file():
            raise UserError(f'{option} {configs}: there is no {config}')


def run_once(folder: Path, command: Sequence[str], name: str = '') -> bool:
    """Run a tool unless the file ``done`` in its folder says that it was; its output goes to ``log.txt`` there.

    Args:
        folder: what ``--work-dir`` names.
        command: the tool's name and its arguments; paths are relative to the repository.
        name: what the run is called in messages; default the folder's name.

    Returns:
        Whether it was run now.

    Raises:
        UserError: it failed.
    """
    if (folder / 'done').exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    name, log = name or folder.name, folder / 'log.txt'
    print(f'{name} ...', flush=True)
    with open(log, 'w', encoding='utf-8') as file:
        code = subprocess.run(
            [sys.executable, str(ROOT / 'tools' / f'{command[0]}.py'), *command[1:]],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
        ).returncode
    if code:
        last = log.read_text().strip().splitlines()[-1:]
        raise UserError(f'{name} ended with exit code {code}: {" ".join(last).removeprefix("error: ")} ({log})')
    (folder / 'done').touch()
    return True


def cell(values: Sequence[float]) -> str:
    """The mean and, in brackets, each of the seeds' values; empty where there is none."""
    return f'**{mean(values):.1f}** ({", ".join(f"{value:.1f}" for value in values)})' if values else ''
