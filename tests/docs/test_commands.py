"""Every command line of README and docs: its tool, its options and its settings exist; and it runs, at reduced size.

What is not run here says why, and where it is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tifffile
from mmdet.datasets import CocoDataset
from PIL import Image

from mae_transfer.checks import check_length, check_settings
from mae_transfer.command.main import parser_of
from mae_transfer.launch import load_config
from tests.docs.documents import REPOSITORY, Command, commands
from tests.own_data import annotation, write_coco, write_scenes
from tests.tools.commands import call, write_photos

DOCUMENTS = [REPOSITORY / 'README.md', REPOSITORY / 'CONTRIBUTING.md', *sorted((REPOSITORY / 'docs').glob('*.md'))]
COMMANDS = [command for document in DOCUMENTS for command in commands(document)]
#: Why a command is not run here; by a part of it.
NOT_RUN = {
    'tools/quickstart.sh': 'twelve minutes and 5 GB; tests/experiments/test_quickstart.py shortens it',
    'tools/run_tests.sh': 'is what runs this',
    'tools/set_up.sh': 'installs 5 GB; the two above begin with it',
    'mae_transfer.data.scenes': 'a thousand pictures; tests/data/scenes',
    'pip install': 'needs the package index; tests/test_wheel.py installs what can be without',
    '--shift': "needs ImageNet's 1000 classes; tests/tools/test_classification_evaluation.py has them",
    'tools/read_vit.py': 'many runs; tests/tools/test_read_vit.py',
    'tools/ablate.py': 'many runs; tests/tools/test_ablate.py',
    'tools/measure_cost.py': 'minutes at the size of the paper; tests/tools/test_measure_cost.py',
    'tools/compare_backbones.py': 'minutes at the size of the papers; tests/tools/test_compare_backbones.py',
    'tools/benchmark.py': 'minutes at the size of the papers; tests/tools/test_benchmark.py, tests/benchmarks',
    'tools/plan.py': 'a minute at the size of the paper; tests/tools/test_plan.py',
    'exported_speed': 'a minute at the size of a ViT-S; tests/benchmarks/test_exported_speed.py',
    'batch_size=auto': 'a minute to work out at the size of the paper; tests/planning/test_fitting.py',
    'experiments.measured_while_training': 'many runs; tests/experiments/test_measured_while_training.py',
    'overfit_': 'needs four images of COCO and of ADE20K; tests/test_overfit.py, slow',
    'slurm_train.sh': 'needs slurm',
    'mae-transfer': 'each subcommand is run by tests/command',
    'docs/extending.md': 'tests/docs/test_extending.py',
    'docs/starts.md': "needs other projects' weights; tests/tools/test_{starts,compare_starts,mocov3,beit}.py",
}
ARCH = '32x4x2'
_LOADERS = [f'{name}_dataloader.num_workers=0' for name in ('train', 'val', 'test')]
_BATCH = ['total_batch_size=2', 'train_dataloader.batch_size=2']
_PRETRAINING = [
    *(
        'image_size=32',
        'max_epochs=1',
        'warmup=.5',
        f'model.vit.arch={ARCH}',
        'model.vit.patch_size=8',
        *_BATCH,
        *_LOADERS,
    ),
    *('model.decoder.embed_dim=16', 'model.decoder.depth=1', 'model.decoder.num_heads=2'),
    'default_hooks.learning.k=1',  # of the few images of probe_data
]
_FEATURES = ['image_size=32', f'model.vit.arch={ARCH}', 'model.vit.patch_size=8', 'test_dataloader.num_workers=0']
_DENSE = [*_BATCH, *_LOADERS]
_REGIONS = [
    'model.roi_head.bbox_head.fc_out_channels=16',
    *('model.train_cfg.rcnn.sampler.num=8', 'model.train_cfg.rpn_proposal.max_per_img=20'),
    'model.test_cfg.rpn.max_per_img=20',
]
#: What is added to a command, by the paths of configs below configs/ that it is for: the first that fits.
REDUCTIONS = {
    r'mae_pretrain|ablations': _PRETRAINING,
    r'small/mae_pretrain': ['image_size=32', 'max_epochs=1', 'warmup=.5', *_BATCH, *_LOADERS],
    r'tokenizer': ['image_size=32', 'max_epochs=1', 'warmup=.5', *_BATCH, *_LOADERS],
    r'in1k_knn': [*_FEATURES, 'test_cfg.train_dataloader.num_workers=0', 'test_cfg.ks=[1]'],
    r'in1k': [*_FEATURES, *_BATCH, *_LOADERS, 'max_epochs=1', 'warmup=.5', 'model.num_classes=2'],
    r'coco_vitdet': [*_DENSE, *_REGIONS, f'model.backbone.arch={ARCH}', 'image_size=64', 'max_iters=3', 'warmup=2'],
    r'coco': [*_DENSE, *_REGIONS, f'model.backbone.arch={ARCH}', 'image_size=64', 'max_epochs=1', 'warmup=.5'],
    r'ade20k': [*_DENSE, f'model.backbone.arch={ARCH}', 'crop_size=64', 'max_iters=3', 'warmup=2', 'norm_cfg.type=BN'],
    r'small/coco': [*_DENSE, 'image_size=64', 'max_epochs=1', 'warmup=.5'],
    r'small/ade20k': [*_DENSE, 'crop_size=64', 'max_iters=3', 'warmup=2', 'model.test_cfg.stride=(64,64)'],
}


#: What is added to a command of a tool without a config; shards have been written before.
OPTIONS: dict[str, list[str]] = {'convert_checkpoint': [], 'make_shards': ['--overwrite', '--workers', '0']}


#: {config: (options, work_dirs)}: what has been run before.
RUNS = {
    'mae_pretrain_vitl': (['data_root=photos/a'], [f'mae_pretrain_vit{size}' for size in 'lbh']),
    'small/mae_pretrain': (['data_root=photos/a'], ['small_mae', 'chain/mae', 'small/mae_pretrain_tin20']),
    'in1k_finetune_vitl': (['data_root=data/imagenet'], ['in1k_finetune_vitl']),
    'coco_maskrcnn_vitl': (['data_root=data/coco'], ['coco_maskrcnn_vitl']),
    'ade20k_upernet_vitl': ([], ['ade20k_upernet_vitl', 'ade20k_upernet_vitb']),
    'small/coco_maskrcnn': (['data_root=../shared/data/coco_mini', 'pretrained=work_dirs/small_mae'], ['small_coco']),
    'small/ade20k_upernet': (['data_root=../shared/data/ade_mini', 'pretrained=work_dirs/small_mae'], ['small_ade']),
}
#: {file: work_dir} of official weights.
FILES = {
    'mae_pretrain_vit_base.pth': 'mae_pretrain_vitb',
    'mae_pretrain_vit_large.pth': 'mae_pretrain_vitl',
    'mae_finetuned_vit_base.pth': 'in1k_finetune_vitl',
    'mae_visualize_vit_base.pth': 'mae_pretrain_vitb',
}


def reductions(line: str) -> list[str]:
    config = re.search(r'configs/(\S+)\.py', line)[1]
    return next(options for names, options in REDUCTIONS.items() if re.match(names, config))


def split(line: str) -> tuple[str, list[str]]:
    """The tool's name and its arguments, one process for many."""
    script, *arguments = shlex.split(line)
    name = Path(script).name
    if name == 'python':
        return name, arguments
    if name == 'dist_train.sh':
        config, _, *options = arguments
        return 'train', [config, *options]
    if name == 'dist_test.sh':
        config, checkpoint, _, *options = arguments
        return 'test', [config, checkpoint, *options]
    return name.removesuffix('.py'), arguments


def parsed(tool: str, arguments: list[str]):
    """The arguments as the tool's own parser understands them."""
    spec = importlib.util.spec_from_file_location(f'parse_{tool}', REPOSITORY / 'tools' / f'{tool}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with mock.patch.object(sys, 'argv', [f'{tool}.py', *arguments]):
        return module.parse_args()


def name_of(command: Command) -> str:
    return f'{Path(command.document).stem}: {command.line.removeprefix("tools/")[:90]}'


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A folder like the checkout, with small data and runs where the commands expect them."""
    folder = tmp_path_factory.mktemp('commands') / 'checkout'
    folder.mkdir()
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(REPOSITORY / name)
    data, shared = folder / 'data', folder.parent / 'shared' / 'data'
    for root in (data / 'imagenet', folder / 'path' / 'to' / 'classes', shared / 'tinyimagenet20'):
        for split_name in ('train', 'val'):
            for seed, label in enumerate(('n01440764', 'n01443537')):
                write_photos(root / split_name / label, 4, seed)
    for photos in (folder / 'photos' / 'a', folder / 'photos' / 'b', data / 'photos', shared / 'photos1k'):
        write_photos(photos, 8)
    write_photos(folder / 'work_dirs' / 'chain' / 'photos', 8)
    for source, *options in (('photos',), ('imagenet', '--classes')):
        assert call('make_shards', data / source, data / f'{source}_shards', *options).code == 0
    (folder / 'work_dirs' / 'chain' / 'images.txt').write_text('\n'.join(f'photos/{i:03d}.jpg' for i in range(8)))
    write_coco(data / 'mine')
    write_scans(data / 'scans')
    write_masks(write_scenes(data / 'cracks'))
    for root in (data / 'coco', shared / 'coco_mini'):
        with_all_classes(write_coco(root))
    for root in (
        data / 'mine',
        data / 'ade' / 'ADEChallengeData2016',
        shared / 'ade_mini',
        shared / 'coco_stuff_ade_layout',
    ):
        write_scenes(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_runs()
    return folder


def write_scans(folder: Path) -> None:
    """Eight bands of 12 bits."""
    folder.mkdir()
    for seed in range(8):
        values = np.random.default_rng(seed).integers(0, 4096, (40, 48, 8), dtype=np.uint16)
        tifffile.imwrite(folder / f'{seed}.tif', values, photometric='minisblack')


def write_masks(root: Path) -> None:
    """Give label maps the numbers 0 and 255."""
    for file in (root / 'annotations').rglob('*.png'):
        with Image.open(file) as label_map:
            numbers = np.array(label_map)
        Image.fromarray(np.where(numbers > 1, 255, 0).astype(np.uint8)).save(file)


def with_all_classes(root: Path) -> None:
    """Give annotation files all of COCO's categories."""
    for file in (root / 'annotations').iterdir():
        content = json.loads(file.read_text())
        own = {category['name'] for category in content['categories']}
        others = [name for name in CocoDataset.METAINFO['classes'] if name not in own]
        content['categories'] += [dict(id=100 + number, name=name) for number, name in enumerate(others)]
        for number, image in enumerate(content['images']):
            content['annotations'].append(annotation(1000 + number, image['id'], 100, (5, 5, 40, 40)))  # a person
        file.write_text(json.dumps(content))


def make_runs() -> None:
    """The work_dirs and files of weights that commands start from."""
    small = {name: ['--cfg-options', *reductions(f'configs/{name}.py')] for name in RUNS}
    for name, (options, others) in RUNS.items():
        ended = call('train', f'configs/{name}.py', '--work-dir', f'work_dirs/{others[0]}', *small[name], *options)
        assert ended.code == 0, ended.err
        for other in others[1:]:
            shutil.copytree(f'work_dirs/{others[0]}', f'work_dirs/{other}')
    for name, work_dir in FILES.items():
        assert call('convert_checkpoint', f'work_dirs/{work_dir}', name, '--to', 'official').code == 0


def test_there_are_commands_of_all_kinds():
    assert len(COMMANDS) > 50 and {
        split(command.line)[0] for command in COMMANDS if command.line.startswith('tools/')
    } >= {
        *(
            'train',
            'test',
            'reconstruct',
            'convert_checkpoint',
            'make_shards',
            'read_vit',
            'ablate',
            'measure_cost',
            'compare_backbones',
        )
    }


@pytest.mark.parametrize(
    'command', [command for command in COMMANDS if 'extending' not in command.document], ids=name_of
)
def test_a_command_has_a_tool_options_and_settings_that_exist(command, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    script, *words = shlex.split(command.line)
    if script == 'pip':
        return
    if script == 'mae-transfer':
        parser_of(words[0]).parse(words[1:])
        return
    assert (REPOSITORY / script).stat().st_mode & 0o111, 'is not executable'
    if script.endswith('.sh') and 'dist_' not in script:
        return
    tool, arguments = split(command.line)
    if tool == 'python':
        assert arguments[0] == '-m' and importlib.util.find_spec(arguments[1])
        return
    args = parsed(tool, arguments)
    if tool in ('train', 'test', 'reconstruct'):
        cfg = load_config(args)
        check_settings(cfg)
        if 'train_cfg' in cfg:
            check_length(cfg)


RUN = list(  # each line once
    {command.line: command for command in COMMANDS if not any(part in ' '.join(command) for part in NOT_RUN)}.values()
)


def test_a_reason_is_given_for_what_exists_alone():
    for part in NOT_RUN:
        assert any(part in ' '.join(command) for command in COMMANDS), part


@pytest.mark.parametrize('command', RUN, ids=name_of)
def test_a_command_runs_at_reduced_size(command, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    tool, arguments = split(command.line)
    if tool == 'python':
        subprocess.run([sys.executable, *arguments], check=True, env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})
        return
    options = OPTIONS[tool] if tool in OPTIONS else ['--cfg-options', *reductions(command.line)]
    ended = call(tool, *arguments, *options)
    assert ended.code == 0, ended.err
