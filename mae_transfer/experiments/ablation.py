"""An ablation: the runs of all rows and seeds, and their results."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS

from ..checks import check_config
from ..errors import CheckpointError, UserError
from ..kinds import is_kind
from ..pretraining import DVAE
from ..references import pair
from ..settings import read_config
from ..vit.weights.checkpoint import find_checkpoint
from .ablation_results import Result, markdown, pretraining_seconds, write_csv, write_plots
from .ablation_rows import BASELINE, Row, write_config
from .ablation_scale import default_of, scale_row
from .flops import count_flops
from .protocols import EvaluationRun
from .tool_runs import run_once

#: Settings of a DVAE that only its training needs, not a target's tokenizer.
_TRAINING_SETTINGS = ('kl_weight', 'data_preprocessor')


@dataclass
class TokenizerRun:
    """The training of the tokenizer that replaces a row's DVAE.

    Args:
        config: config file of the training.
        folder: work_dir of the training, or of one that was run elsewhere.
        options: ``KEY=VALUE`` for ``--cfg-options`` of the training.
    """

    config: Path
    folder: Path
    options: Sequence[str] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def settings(self) -> dict:
        """The config of the trained tokenizer, for a target.

        Raises:
            UserError: an option that the training's config does not have.
        """
        model = read_config(self.config, self.options).model.to_dict()
        architecture = {key: value for key, value in model.items() if key not in _TRAINING_SETTINGS}
        return dict(architecture, checkpoint=str(self.folder))

    def is_used_by(self, cfg: Config) -> bool:
        """Whether the target of a pre-training's config loads this tokenizer."""
        tokenizer = cfg.model.target.get('tokenizer')
        if not is_kind(tokenizer, MODELS, cfg.get('default_scope'), DVAE):
            return False
        return Path(tokenizer.get('checkpoint') or '') == self.folder

    def run(self, scale: Config) -> None:
        """Train the tokenizer, unless the folder has a trained one.

        Args:
            scale: config of the pre-trainings, for their data and sizes.

        Raises:
            UserError: the training failed.
        """
        vit = scale.model.vit
        with self._lock:
            # A tokenizer that was trained elsewhere has a checkpoint, but no log of run_once.
            if not (self.folder / 'log.txt').exists():
                try:
                    find_checkpoint(self.folder)
                    return
                except CheckpointError:
                    pass
            # TokenTarget resizes the photos so that each patch gets one token: train at that size.
            stride = self.settings().get('stride', default_of(DVAE, 'stride'))
            height, width = (side * stride // vit.patch_size for side in pair(vit.img_size))
            image_size = height if height == width else f'{height},{width}'
            options = [f'data_root={scale.data_root}', f'image_size={image_size}', *self.options]
            arguments = [str(self.config), '--work-dir', str(self.folder), '--resume', '--cfg-options', *options]
            run_once(self.folder, 'train', arguments, 'tokenizer')


@dataclass
class Ablation:
    """The runs of all rows and seeds, and their results.

    Args:
        rows: from :func:`~mae_transfer.experiments.ablation_rows.scaled_rows`.
        scale: the config that the rows were scaled to.
        tokenizer: the tokenizer for rows whose target is the tokens of a DVAE.
        work_dir: folder for runs and results.
        seeds: random seeds; each run is repeated for each of them.
        protocols: the protocols by which each ViT is evaluated.
        configs, options: of the evaluations, see :meth:`~mae_transfer.experiments.protocols.EvaluationRun.run`.
    """

    rows: list[Row]
    scale: Config
    tokenizer: TokenizerRun
    work_dir: Path
    seeds: Sequence[int]
    protocols: Sequence[str]
    configs: str
    options: Sequence[str] = ()
    _writing: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @cached_property
    def runs(self) -> dict[str, Config]:
        """{name of the run: its config}; rows with the same config share a run."""
        return {row.run: row.scaled for row in self.rows}

    @cached_property
    def flops(self) -> dict[str, int]:
        """{name of the run: its FLOPs per image}; the name of the baseline is ''."""
        models = {run: cfg.model for run, cfg in self.runs.items()}
        models[''] = scale_row(read_config(BASELINE), self.scale).model
        found: dict[str, int] = {}
        for run, model in models.items():
            # Counting takes seconds, and rows that vary the photos or the epochs have the baseline's model.
            same = next((name for name in found if models[name] == model), None)
            found[run] = count_flops(model)['total'] if same is None else found[same]
        return found

    def check(self, *purposes: str) -> None:
        """Check the configs of all pre-trainings before the first one starts.

        Args:
            purposes: see :func:`~mae_transfer.checks.check_config`.

        Raises:
            UserError: as ``check_config``; a model that cannot be built.
        """
        for cfg in self.runs.values():
            check_config(cfg, *purposes)
        _ = self.flops  # builds every model

    def run_all(self, jobs: int = 1) -> list[str]:
        """Run what is not completed yet: all rows with the first seed, then with the next; write the results each time.

        Args:
            jobs: number of runs at the same time.

        Returns:
            An error message for each run that failed.
        """
        failed: list[str] = []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                futures = [pool.submit(self.run, run, seed) for seed in self.seeds for run in self.runs]
                for future in as_completed(futures):
                    try:
                        future.result()
                    except UserError as error:
                        failed.append(str(error))
                        print(f'FAILED: {error}', flush=True)
                    self.write()
            finally:
                pool.shutdown(cancel_futures=True)
        return failed

    def run(self, name: str, seed: int) -> None:
        """Pre-train and evaluate one run with one seed.

        Raises:
            UserError: the pre-training or an evaluation failed.
        """
        cfg, folder = self.runs[name], self.work_dir / name
        config, weights = folder / 'config.py', folder / f'seed{seed}'
        if self.tokenizer.is_used_by(cfg):
            self.tokenizer.run(self.scale)
        write_config(cfg, config)
        arguments = ['--work-dir', str(weights), '--resume', '--cfg-options', f'randomness.seed={seed}']
        run_once(weights, 'train', [str(config), *arguments], f'{name}, seed {seed}')
        vit = cfg.model.vit
        sizes = [f'model.vit.arch={vit.arch}', f'model.vit.patch_size={vit.patch_size}', f'image_size={vit.img_size}']
        for protocol in self.protocols:
            evaluation = EvaluationRun(str(weights), protocol, seed)
            evaluation.run(folder, self.configs, [*sizes, f'data_root={cfg.data_root}', *self.options], name)

    def results(self) -> list[Result]:
        """The results so far, for each row."""
        return [self._result(row) for row in self.rows]

    def _result(self, row: Row) -> Result:
        folder = self.work_dir / row.run
        top1: dict[int, dict[str, float]] = {seed: {} for seed in self.seeds}
        seconds: dict[int, float] = {}
        for seed in self.seeds:
            weights = folder / f'seed{seed}'
            for protocol in self.protocols:
                accuracy = EvaluationRun(str(weights), protocol, seed).top1(folder)
                if accuracy is not None:
                    top1[seed][protocol] = accuracy
            duration = pretraining_seconds(weights) if (weights / 'done').exists() else None
            if duration is not None:
                seconds[seed] = duration
        flops = self.flops[row.run]
        return Result(row.config.stem, row.published, row.is_baseline, flops, flops / self.flops[''], top1, seconds)

    def caption(self) -> str:
        """One line that describes the scale."""
        cfg, vit = self.scale, self.scale.model.vit
        roots = [cfg.data_root] if isinstance(cfg.data_root, str) else cfg.data_root
        arch = vit.arch if isinstance(vit.arch, str) else 'x'.join(str(value) for value in vit.arch.values())
        return (
            f'ViT {arch}, {vit.img_size} px, patches of {vit.patch_size}, {cfg.train_cfg.max_epochs} epochs, '
            f'batch {cfg.total_batch_size}, {" and ".join(Path(root).name for root in roots)}'
        )

    def write(self) -> str:
        """Write table.md, table.csv and the plots to the work_dir; returns the Markdown."""
        with self._writing:
            results = self.results()
            text = markdown(results, self.protocols, self.caption())
            self.work_dir.mkdir(parents=True, exist_ok=True)
            (self.work_dir / 'table.md').write_text(text + '\n', encoding='utf-8')
            write_csv(self.work_dir / 'table.csv', results, self.protocols)
            write_plots(self.work_dir, results, self.protocols, self.caption())
        return text
