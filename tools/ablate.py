#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Run rows of MAE Table 1, Fig. 5, Fig. 7 and Table 2, scaled down to what the machine can run, and compare the results
with the published ones.

    tools/ablate.py --data ../shared/data/tinyimagenet20 --work-dir work_dirs/small/ablations --jobs 2
    tools/ablate.py table1a fig5 --data ../shared/data/tinyimagenet20 --work-dir work_dirs/small/ablations --seeds 0 1 2
    tools/ablate.py table1 --arch small --img-size 64 --patch-size 8 --epochs 200 --batch 512 --base-lr 1e-3 \\
        --data ... --work-dir ... --cfg-options optim_wrapper.dtype=bfloat16

ROW is a config file, a pattern, or the beginning of names in configs/ablations. Each row is scaled to the sizes of a
small pre-training's config (--scale), which other options may change;
mae_transfer.experiments.ablation_scale.scale_row documents what comes from the row and what from the scale. Rows with
the same scaled config, such as the baseline of each table, share a run. Each run uses the commands that a user would:
tools/train.py to pre-train, then tools/test.py (k-NN, fast linear probe) and tools/train.py (fine-tuning) to evaluate.
Completed runs are not repeated, and an interrupted pre-training is resumed. For a row whose target is the tokens of a
DVAE, that tokenizer is trained first, with --tokenizer-config.

After each run the work_dir gets table.md, table.csv (a line for each row and seed) and a plot for each table. A run
that fails does not stop the others; it is reported at the end.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mae_transfer import launch
from mae_transfer.compat.package_configs import PREFIX, find_config
from mae_transfer.errors import UserError
from mae_transfer.experiments.ablation import Ablation, TokenizerRun
from mae_transfer.experiments.ablation_rows import find_rows, scaled_rows
from mae_transfer.experiments.ablation_scale import make_scale
from mae_transfer.experiments.protocols import check_protocols
from mae_transfer.outputs import output_folder
from mae_transfer.paths import user_path
from mae_transfer.settings import read_config
from mae_transfer.vit.sizes import resolve_size

SCALE, TOKENIZER = f'{PREFIX}small/mae_pretrain_tin20.py', f'{PREFIX}small/tokenizer_dvae_tin20.py'
CONFIGS = f'{PREFIX}small/{{}}_tin20.py'


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='*', default=['table1'], metavar='ROW', help='default table1, the whole Table 1')
    parser.add_argument('--work-dir', required=True, type=Path, help='folder for runs and results')
    parser.add_argument('--data', help='images in class folders below train/ and val/; default as in the configs')
    parser.add_argument(
        '--scale', default=SCALE, metavar='CONFIG', help='config of a small pre-training; default %(default)s'
    )
    parser.add_argument('--arch', help='size of the ViT: a name such as small, or WIDTHxDEPTHxHEADS, e.g. 128x6x4')
    parser.add_argument('--img-size', type=int, help='side of the crops in pixels')
    parser.add_argument('--patch-size', type=int, help='side of the patches in pixels')
    parser.add_argument(
        '--epochs',
        type=int,
        help="epochs of each pre-training; a row whose epochs differ from the paper's 800 keeps its ratio to them",
    )
    parser.add_argument('--batch', type=int, help='images per step')
    parser.add_argument('--base-lr', type=float, help='learning rate per 256 images')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='repeat all runs for each; default 0')
    parser.add_argument(
        '--protocols',
        '--readings',
        nargs='+',
        choices=('knn', 'fastprobe', 'finetune'),
        default=['knn', 'fastprobe'],
        help='how each ViT is evaluated; default knn fastprobe',
    )
    parser.add_argument(
        '--protocol-configs',
        '--readings-configs',
        metavar='PATTERN',
        default=CONFIGS,
        help='configs, with {} in place of knn, fastprobe or finetune; default %(default)s',
    )
    parser.add_argument(
        '--tokenizer',
        type=Path,
        metavar='WORK_DIR',
        help='work_dir of a trained DVAE, or of the one to train; default <work-dir>/tokenizer',
    )
    parser.add_argument(
        '--tokenizer-config', default=TOKENIZER, metavar='CONFIG', help='config that trains it; default %(default)s'
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at the same time; unless OMP_NUM_THREADS is set, they share the cores'
    )
    for names, runs in (
        (['--cfg-options'], 'all pre-trainings'),
        (['--protocol-options', '--readings-options'], 'all evaluations'),
        (['--tokenizer-options'], "the tokenizer's training"),
    ):
        parser.add_argument(
            *names, nargs='+', action='extend', default=[], metavar='KEY=VALUE', help=f'settings for {runs}'
        )
    parser.add_argument('--table-only', action='store_true', help='run nothing; write the results so far')
    args = parser.parse_args()
    sizes = (args.jobs, args.img_size, args.patch_size, args.epochs, args.batch, args.base_lr)
    if any(value is not None and value <= 0 for value in sizes):
        raise UserError('--jobs, --img-size, --patch-size, --epochs, --batch and --base-lr must be above 0')
    if args.arch:
        resolve_size(args.arch)
    args.scale = find_config(args.scale, '--scale')
    args.tokenizer_config = find_config(args.tokenizer_config, '--tokenizer-config').resolve()
    if args.data and not user_path(args.data, '--data').is_dir():
        raise UserError(f'--data: the folder {args.data} does not exist')
    check_protocols(args.protocols, args.protocol_configs, '--protocol-configs')
    args.data = args.data and str(user_path(args.data, '--data').resolve())
    args.work_dir = output_folder(args.work_dir, '--work-dir').resolve()
    tokenizer = args.tokenizer or args.work_dir / 'tokenizer'
    args.tokenizer = output_folder(tokenizer, '--tokenizer', create=False).resolve()
    return args


def load_ablation(args: argparse.Namespace) -> Ablation:
    """The ablation that the command line describes, checked.

    Raises:
        UserError: a row that does not exist, or that cannot be trained at this scale.
    """
    scale = make_scale(
        read_config(args.scale),
        arch=args.arch,
        image_size=args.img_size,
        patch_size=args.patch_size,
        max_epochs=args.epochs,
        batch=args.batch,
        base_lr=args.base_lr,
        data_root=args.data,
    )
    tokenizer = TokenizerRun(args.tokenizer_config, args.tokenizer, args.tokenizer_options)
    ablation = Ablation(
        scaled_rows(find_rows(args.rows), scale, tokenizer.settings(), args.cfg_options, args.work_dir),
        scale,
        tokenizer,
        args.work_dir,
        args.seeds,
        args.protocols,
        args.protocol_configs,
        args.protocol_options,
    )
    ablation.check(*() if args.table_only else ('train', 'val'))
    return ablation


def main() -> None:
    """Run what is not completed yet, write the results, and report what failed."""
    args = parse_args()
    if args.jobs > 1:
        os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // args.jobs)))
    ablation, failed = load_ablation(args), []
    if not args.table_only:
        print(f'{len(ablation.rows)} rows, {len(ablation.runs)} distinct runs, {len(args.seeds)} seeds', flush=True)
        failed = ablation.run_all(args.jobs)
    print('\n' + ablation.write())
    if failed:
        raise UserError(f'{len(failed)} of {len(args.seeds) * len(ablation.runs)} runs failed: {"; ".join(failed)}')


if __name__ == '__main__':
    launch.run_main(main)
