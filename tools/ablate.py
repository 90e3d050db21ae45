#!/usr/bin/env python
"""Run rows of MAE Table 1, Fig. 5, Fig. 7 and Table 2 at a scale that the machine can do, and set the results beside
the published ones.

    tools/ablate.py --data ../shared/data/tinyimagenet20 --work-dir work_dirs/small/ablations --jobs 2
    tools/ablate.py table1a fig5 --data ../shared/data/tinyimagenet20 --work-dir work_dirs/small/ablations --seeds 0 1 2
    tools/ablate.py table1 --arch small --img-size 64 --patch-size 8 --epochs 200 --batch 512 --base-lr 1e-3 --data ...
    --work-dir ... \\
        --cfg-options optim_wrapper.dtype=bfloat16

A row is a config, a pattern, or how the names of several in configs/ablations begin. The scale is that of a small
pre-training's config (--scale), and of the options that change it; ablation_rows.scale_row says what a row keeps. Rows
that are the same then, such as the baseline of each table, are run once. Each run is what a user would do:
tools/train.py to pre-train, then tools/test.py (k-NN, fast linear probe) and tools/train.py (fine-tuning) to read. What
is done is not done again, a pre-training that was cut off goes on. A row whose target is a DVAE's tokens has that
tokenizer trained first, by --tokenizer-config.

Written to the work_dir after each run: table.md, table.csv (a line for each row and seed) and a plot for each table. A
run that fails does not stop the others; it is named at the end.
"""

from __future__ import annotations

import argparse
import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ablation_results import MEASURED, Result, markdown, pretraining_seconds, write_csv, write_plots
from ablation_rows import ABLATIONS, Row, find_rows, make_scale, scale_row, scaled_rows, write_config
from measure_cost import flops, resolve_arch
from mmengine.config import Config
from readings import ROOT, Reading, check_configs, run_once

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.vit.checkpoint import CheckpointError, find_checkpoint

#: of --readings -> the kind of tools/readings.py
KINDS = {'knn': 'knn', 'fastprobe': 'fastprobe', 'finetune': 'all'}
SCALE = ROOT / 'configs' / 'small' / 'mae_pretrain_tin20.py'
TOKENIZER = ROOT / 'configs' / 'small' / 'tokenizer_dvae_tin20.py'


def parse_args() -> argparse.Namespace:
    """The command line, checked; paths made absolute, because the runs start in the repository."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='*', default=['table1'], metavar='ROW', help='default table1: the whole Table 1')
    parser.add_argument('--work-dir', required=True, type=Path, help='where runs and results are written')
    parser.add_argument('--data', help='photos in class folders, train/ and val/; default as the configs have it')
    parser.add_argument(
        '--scale',
        type=Path,
        default=SCALE,
        metavar='CONFIG',
        help=f'a small pre-training; default {SCALE.relative_to(ROOT)}',
    )
    parser.add_argument('--arch', help='ViT: a name such as small, or width x depth x heads, e.g. 128x6x4')
    parser.add_argument('--img-size', type=int, help='side of the crops in pixels')
    parser.add_argument('--patch-size', type=int, help='side of the patches in pixels')
    parser.add_argument(
        '--epochs',
        type=int,
        help='of each pre-training; a row that the paper trains for more or less than 800 keeps its share',
    )
    parser.add_argument('--batch', type=int, help='images a step')
    parser.add_argument('--base-lr', type=float, help='learning rate per 256 images')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--readings', nargs='+', choices=tuple(KINDS), default=['knn', 'fastprobe'])
    parser.add_argument(
        '--readings-configs',
        metavar='PATTERN',
        default='configs/small/{}_tin20.py',
        help='configs with {} for knn, fastprobe and finetune; default configs/small/{}_tin20.py',
    )
    parser.add_argument(
        '--tokenizer',
        type=Path,
        metavar='WORK_DIR',
        help='a trained DVAE, or where to train it; default <work-dir>/tokenizer',
    )
    parser.add_argument(
        '--tokenizer-config',
        type=Path,
        metavar='CONFIG',
        default=TOKENIZER,
        help=f'default {TOKENIZER.relative_to(ROOT)}',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at a time; without OMP_NUM_THREADS they share the cores'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='for all pre-trainings'
    )
    parser.add_argument(
        '--readings-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='for all readings'
    )
    parser.add_argument(
        '--tokenizer-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help="for the tokenizer's training",
    )
    parser.add_argument('--table-only', action='store_true', help='run nothing, write what is known')
    args = parser.parse_args()
    sizes = (args.jobs, args.img_size, args.patch_size, args.epochs, args.batch, args.base_lr)
    if any(value is not None and value <= 0 for value in sizes):
        raise UserError('--jobs, --img-size, --patch-size, --epochs, --batch and --base-lr are above 0')
    for option in ('scale', 'tokenizer_config'):
        if not getattr(args, option).is_file():
            raise UserError(f'--{option.replace("_", "-")}: there is no {getattr(args, option)}')
    if args.data and not Path(args.data).is_dir():
        raise UserError(f'--data: there is no folder {args.data}')
    check_configs([KINDS[name] for name in args.readings], args.readings_configs, '--readings-configs')
    args.arch = args.arch and resolve_arch(args.arch)
    args.data = args.data and str(Path(args.data).resolve())
    args.work_dir = args.work_dir.resolve()
    args.tokenizer = (args.tokenizer or args.work_dir / 'tokenizer').resolve()
    return args


def tokenizer_of(args: argparse.Namespace) -> dict:
    """The tokenizer's config for a target."""
    model = Config.fromfile(args.tokenizer_config).model.to_dict()
    architecture = {key: value for key, value in model.items() if key not in ('kl_weight', 'data_preprocessor')}
    return dict(architecture, checkpoint=str(args.tokenizer))


class Ablation:
    """The runs of all rows and seeds, and what is known of them.

    Args:
        args: the command line.

    Raises:
        UserError: a row that is none, or that cannot be built at this scale.
    """

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.scale = make_scale(
            Config.fromfile(args.scale),
            args.arch,
            args.img_size,
            args.patch_size,
            args.epochs,
            args.batch,
            args.base_lr,
            args.data,
        )
        tokenizer = tokenizer_of(args)
        self.rows: list[Row] = scaled_rows(find_rows(args.rows), self.scale, tokenizer, args.cfg_options, args.work_dir)
        self.runs = {row.run: row.scaled for row in self.rows}
        models = {run: cfg.model for run, cfg in self.runs.items()}
        models[''] = scale_row(Config.fromfile(ABLATIONS / '_baseline.py'), self.scale).model
        different = {repr(model): model for model in models.values()}  # rows of other photos have the same model
        counted = {text: flops(model)['total'] for text, model in different.items()}
        self.flops = {run: counted[repr(model)] for run, model in models.items()}
        self.tokenizer_lock, self.writing = threading.Lock(), threading.Lock()

    def carry_out(self, run: str, seed: int) -> None:
        """Pre-train and read one run.

        Raises:
            UserError: a part of it failed.
        """
        args, cfg = self.args, self.runs[run]
        folder, vit = args.work_dir / run, cfg.model.vit
        if cfg.model.target.get('tokenizer', {}).get('checkpoint') == str(args.tokenizer):
            self.train_tokenizer()
        weights = folder / f'seed{seed}'
        write_config(cfg, folder / 'config.py')
        run_once(
            weights,
            [
                'train',
                str(folder / 'config.py'),
                '--work-dir',
                str(weights),
                '--resume',
                '--cfg-options',
                f'randomness.seed={seed}',
            ],
            f'{run}, seed {seed}',
        )
        options = [
            f'model.vit.arch={vit.arch}',
            f'model.vit.img_size={vit.img_size}',
            f'model.vit.patch_size={vit.patch_size}',
            f'data_root={cfg.data_root}',
            *args.readings_options,
        ]
        for name in args.readings:
            Reading(str(weights), KINDS[name], seed).carry_out(folder, args.readings_configs, options, run)

    def train_tokenizer(self) -> None:
        """Train the tokenizer, unless it is there; one that was trained elsewhere has no log of ours.

        Raises:
            UserError: it failed.
        """
        args, vit, folder = self.args, self.scale.model.vit, self.args.tokenizer
        with self.tokenizer_lock:
            if not (folder / 'log.txt').exists():
                try:
                    find_checkpoint(folder)
                    return
                except CheckpointError:
                    pass
            # TokenTarget shows it photos of the size at which a token stands for a patch.
            side = vit.img_size * Config.fromfile(args.tokenizer_config).model.stride // vit.patch_size
            sizes = [f'{loader}_dataloader.dataset.img_size={side}' for loader in ('train', 'val', 'test')]
            run_once(
                folder,
                [
                    'train',
                    str(args.tokenizer_config.resolve()),
                    '--work-dir',
                    str(folder),
                    '--resume',
                    '--cfg-options',
                    f'data_root={self.scale.data_root}',
                    *sizes,
                    *args.tokenizer_options,
                ],
                'tokenizer',
            )

    def results(self) -> list[Result]:
        """What is known by now, for each row."""
        results = []
        for row in self.rows:
            folder = self.args.work_dir / row.run
            top1: dict[int, dict[str, float]] = {seed: {} for seed in self.args.seeds}
            seconds = {}
            for seed in self.args.seeds:
                weights = folder / f'seed{seed}'
                for name in self.args.readings:
                    value = Reading(str(weights), KINDS[name], seed).top1(folder)
                    if value is not None:
                        top1[seed][name] = value
                if (weights / 'done').exists() and (time := pretraining_seconds(weights)) is not None:
                    seconds[seed] = time
            results.append(
                Result(
                    row.config.stem,
                    row.published,
                    row.is_baseline,
                    self.flops[row.run],
                    self.flops[row.run] / self.flops[''],
                    top1,
                    seconds,
                )
            )
        return results

    def write(self) -> str:
        """Write table.md, table.csv and the plots; returns the Markdown."""
        cfg, readings = self.scale, [name for name in MEASURED if name in self.args.readings]
        arch = (
            cfg.model.vit.arch
            if isinstance(cfg.model.vit.arch, str)
            else 'x'.join(str(value) for value in cfg.model.vit.arch.values())
        )
        words = (
            f'ViT {arch}, {cfg.model.vit.img_size} px, patches of {cfg.model.vit.patch_size}, '
            f'{cfg.train_cfg.max_epochs} epochs, '
            f'batch {cfg.total_batch_size}, {Path(cfg.data_root).name}'
        )
        self.args.work_dir.mkdir(parents=True, exist_ok=True)
        with self.writing:
            results = self.results()
            text = markdown(results, readings, words)
            (self.args.work_dir / 'table.md').write_text(text + '\n')
            write_csv(self.args.work_dir / 'table.csv', results, readings)
            write_plots(self.args.work_dir, results, readings, words)
        return text


def main() -> None:
    """Do what is not done yet, write the results, name what failed."""
    args = parse_args()
    if args.jobs > 1:
        os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // args.jobs)))
    ablation = Ablation(args)
    failed: list[str] = []
    if not args.table_only:
        print(f'{len(ablation.rows)} rows, {len(ablation.runs)} different runs, {len(args.seeds)} seeds', flush=True)
        with ThreadPoolExecutor(args.jobs) as pool:
            try:
                # A whole table by the first seed, then by the next.
                futures = [pool.submit(ablation.carry_out, run, seed) for seed in args.seeds for run in ablation.runs]
                for future in as_completed(futures):
                    try:
                        future.result()
                    except UserError as error:
                        failed.append(str(error))
                        print(f'FAILED: {error}', flush=True)
                    ablation.write()
            finally:
                pool.shutdown(cancel_futures=True)
    print('\n' + ablation.write())
    if failed:
        raise UserError(f'{len(failed)} of {len(args.seeds) * len(ablation.runs)} runs failed: {"; ".join(failed)}')


if __name__ == '__main__':
    launch.run_main(main)
