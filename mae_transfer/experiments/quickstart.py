"""The quickstart: all commands from synthetic scenes to tested detectors and segmentors, and a report of the results.

PyTorch is not imported before the pictures are drawn.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from .steps import Stage, Step
from .tool_runs import package_file

STARTS = ('random', 'mae')


class Task(NamedTuple):
    """A task that the quickstart fine-tunes on.

    Args:
        title: its name in the display.
        data: its folder below that of the scenes.
        epochs: epochs of its fine-tuning, see :class:`~mae_transfer.experiments.steps.Step`.
        seconds: expected duration of its fine-tuning.
        predictions_setting: the setting of its evaluator that says where the predictions are written.
    """

    title: str
    data: str
    epochs: int
    seconds: float
    predictions_setting: str


#: The tasks by the names of their configs.
TASKS = {
    'maskrcnn': Task('Mask R-CNN', 'coco', 8, 120, 'outfile_prefix'),
    'upernet': Task('UperNet', 'ade', 1, 90, 'output_dir'),
}


def stages(work: Path, seed: int, pretrain_only_here: bool) -> list[Stage]:
    """The stages of the quickstart: scenes, pre-training, and for each task fine-tuning from random and MAE weights.

    Args:
        work: folder for all data, runs and results.
        seed: random seed of the trainings.
        pretrain_only_here: whether the MAE weights are those of the quickstart's own pre-training, not those that come
            with the package.
    """
    scenes = work / 'scenes'
    weights = (
        str(work / 'mae') if pretrain_only_here else package_file('configs', 'quickstart', 'vit_scenes.safetensors')
    )
    pretrain, photos = package_file('configs', 'quickstart', 'mae_pretrain.py'), f'data_root={scenes}/photos'
    train = _train(pretrain, work / 'mae', photos, f'randomness.seed={seed}')
    found = [
        Stage(
            'Generate scenes: photos without labels, and labelled ones in the layouts of COCO and ADE20K',
            [[Step('scenes', ['-m', 'mae_transfer.data.scenes', str(scenes)], 20)]],
        ),
        Stage(
            'Pre-train a small MAE on the photos, and evaluate it on held-out photos',
            [[Step('MAE', train, 110, epochs=4), Step('MAE', _test(pretrain, work / 'mae', photos), 12)]],
        ),
    ]
    for name, task in TASKS.items():
        config, lanes = package_file('configs', 'quickstart', f'{name}.py'), []
        for start, pretrained in zip(STARTS, ('none', weights)):
            run, root = work / f'{name}_{start}', f'data_root={scenes}/{task.data}'
            train = _train(config, run, root, f'pretrained={pretrained}', f'randomness.seed={seed}')
            test = _test(config, run, root, f'test_evaluator.{task.predictions_setting}={run}/predictions')
            lanes.append([Step(f'from {start}', train, task.seconds, task.epochs), Step(f'from {start}', test, 20)])
        found.append(Stage(f'{task.title} from random and from MAE weights, same schedule and seed; test both', lanes))
    return found


def _train(config: str, run: Path, *options: str) -> list[str]:
    return [package_file('tools', 'train.py'), config, '--work-dir', str(run), '--cfg-options', *options]


def _test(config: str, run: Path, *options: str) -> list[str]:
    return [package_file('tools', 'test.py'), config, str(run), '--work-dir', f'{run}_test', '--cfg-options', *options]


def draw(work: Path) -> None:
    """Write pictures of the predictions next to the ground truth for each start, and of the MAE's reconstructions."""
    from ..data.scenes.quickstart import SEMANTIC_CLASSES, SEMANTIC_PALETTE
    from ..visualization.predictions import detection_sheet, segmentation_sheet

    coco, ade = work / 'scenes' / 'coco', work / 'scenes' / 'ade'
    truths = sorted((ade / 'annotations' / 'validation').glob('*.png'))[:8]
    for start in STARTS:
        detection_sheet(
            coco / 'annotations' / 'instances_val2017.json',
            coco / 'val2017',
            work / f'maskrcnn_{start}' / 'predictions.segm.json',
        ).save(work / f'detection_{start}.png')
        segmentation_sheet(
            [ade / 'images' / 'validation' / f'{truth.stem}.jpg' for truth in truths],
            truths,
            [work / f'upernet_{start}' / 'predictions' / truth.name for truth in truths],
            SEMANTIC_CLASSES,
            SEMANTIC_PALETTE,
        ).save(work / f'segmentation_{start}.png')
    (work / 'reconstructions.png').write_bytes((work / 'mae' / 'reconstructions' / 'last.png').read_bytes())


def newest_metrics(work_dir: Path) -> dict[str, float]:
    """The metrics that tools/test.py measured, from the newest metrics file below a work_dir.

    Raises:
        FileNotFoundError: there is no metrics file.
    """
    files = sorted(work_dir.glob('*/*.json'), key=lambda file: file.stat().st_mtime)
    if not files:
        raise FileNotFoundError(f'no metrics below {work_dir}')
    return json.loads(files[-1].read_text())


def report(work: Path, steps: list[Step], seed: int, pretrain_only_here: bool, minutes: float) -> str:
    """A Markdown table of the results from both starts, with explanations.

    Args:
        work, seed, pretrain_only_here: as for :func:`stages`.
        steps: the steps of :func:`stages`, after they ran.
        minutes: duration of the whole quickstart.
    """
    took = {  # minutes, by the name of the work_dir
        Path(step.command[step.command.index('--work-dir') + 1]).name: step.took / 60
        for step in steps
        if '--work-dir' in step.command
    }
    lines = ['| weights | box AP | mask AP | mIoU | minutes of fine-tuning |', '|---|---|---|---|---|']
    for start in STARTS:
        detection = newest_metrics(work / f'maskrcnn_{start}_test')
        segmentation = newest_metrics(work / f'upernet_{start}_test')
        cells = [100 * detection['coco/bbox_mAP'], 100 * detection['coco/segm_mAP'], segmentation['mIoU']]
        cells.append(sum(took[f'{task}_{start}'] for task in TASKS))
        lines.append(f'| {"MAE" if start == "mae" else start} | {" | ".join(f"{value:.1f}" for value in cells)} |')
    loss = newest_metrics(work / 'mae_test')['reconstruction/masked_loss']
    source = (
        f'from the {took["mae"]:.1f} minutes of pre-training in this run'
        if pretrain_only_here
        else 'configs/quickstart/vit_scenes.safetensors, from a longer pre-training on such scenes\n'
        '(configs/quickstart/mae_pretrain_long.py); --pretrain-only-here uses the pre-training of this run instead'
    )
    table = '\n'.join(lines)
    return (
        f'{table}\n\nSeed {seed}, 96 labelled scenes, same schedule for both rows. MAE weights: {source}.\n'
        f'Reconstruction loss on held-out photos after the pre-training of this run: {loss:.4f}.\n'
        f'Pictures: {work}/reconstructions.png, detection_mae.png, segmentation_mae.png (and _random.png). Duration of '
        f'the whole quickstart: {minutes:.1f} minutes.'
    )
