"""Each subcommand on a small run: what it writes, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mae_transfer.command import processes
from mae_transfer.vit.weights.checkpoint import find_checkpoint, read_weights
from tests.command.calls import command
from tests.tools.commands import REPOSITORY, error_line, free_port, small, write_photos

ARCH = '32x2x2'


def settings(**changes) -> list[str]:
    """``KEY=VALUE`` that make a pre-training small, without what the subcommand sets itself."""
    words = small('', 8, 1, **changes)[1:]
    return [word for word in words if not word.startswith(('data_root=', 'model.vit.arch='))]


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp('photos'), 24)


@pytest.fixture(scope='module')
def pretrained(photos, tmp_path_factory):
    """What pretrain said, and its work_dir."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp('runs') / 'mae'
    ended = command('pretrain', photos, out, '--arch', ARCH, *settings())
    assert ended.code == 0, ended.err
    return ended, out


@pytest.fixture(scope='module')
def classes(tmp_path_factory):
    """A folder for each of two classes."""
    root = tmp_path_factory.mktemp('classes')
    for split in ('train', 'val'):
        for seed, name in enumerate(('ant', 'bee')):
            write_photos(root / split / name, 4, seed)
    return root


@pytest.fixture(scope='module')
def classifier(pretrained, classes, tmp_path_factory):
    """What finetune said, and its work_dir."""
    out = tmp_path_factory.mktemp('runs') / 'classes'
    words = ['image_size=32', 'max_epochs=1', 'warmup=.5', 'total_batch_size=4', 'train_dataloader.batch_size=4']
    words += [f'{loader}_dataloader.num_workers=0' for loader in ('train', 'val', 'test')]
    ended = command('finetune', 'classify', classes, pretrained[1], out, *words)
    assert ended.code == 0, ended.err
    return ended, out


def test_pretrain(pretrained):
    ended, out = pretrained
    result, config = ended.out.splitlines()[-2:]
    assert result.startswith('mae_pretrain_vitb: reconstruction/masked_loss ') and str(find_checkpoint(out)) in result
    assert config == f'config: {out / "mae_pretrain_vitb.py"}' and (out / 'mae_pretrain_vitb.py').is_file()
    assert (out / 'reconstructions' / 'last.png').is_file()
    assert read_weights(str(find_checkpoint(out))).encoder['patch_embed.proj.weight'].shape == (32, 3, 8, 8)


def test_resume_goes_on_where_there_is_a_run(pretrained, photos, tmp_path):
    words = ['--arch', ARCH, '--resume', *settings()]
    ended = command('pretrain', photos, tmp_path / 'new', *words)
    assert ended.code == 0 and find_checkpoint(tmp_path / 'new').name == 'epoch_1.pth', ended.err
    ended = command('pretrain', photos, tmp_path / 'new', *words, 'max_epochs=2')
    assert ended.code == 0 and find_checkpoint(tmp_path / 'new').name == 'epoch_2.pth', ended.err
    assert 'resumed epoch: 1, iter: 2, ' in ended.out


def test_test(pretrained, tmp_path):
    ended = command('test', pretrained[1], '--out', tmp_path / 'log', 'test_dataloader.num_workers=0')
    assert ended.code == 0, ended.err
    assert 'reconstruction/masked_loss ' in ended.out.splitlines()[-2] and (tmp_path / 'log').is_dir()


def test_reconstruct(pretrained, photos, tmp_path):
    ended = command('reconstruct', pretrained[1], tmp_path / 'one.png', '--count', 2, '--photos', photos)
    assert (ended.code, ended.out) == (0, f'2 photos drawn into {tmp_path}/one.png\n'), ended.err
    with Image.open(tmp_path / 'one.png') as picture:
        assert picture.height >= 2 * 32
    words = ['--count', 2, '--photos', photos, 'model.masking.ratio=.25']
    assert command('reconstruct', pretrained[1], tmp_path / 'other.png', *words).code == 0
    assert (tmp_path / 'one.png').read_bytes() != (tmp_path / 'other.png').read_bytes(), 'the setting had no effect'


def test_reconstruct_refuses_what_is_no_pretraining(classifier, tmp_path):
    line = error_line(command('reconstruct', classifier[1], tmp_path / 'one.png'))
    assert line.endswith('is not a pre-training config: its model is not an MAE')


def test_finetune(classifier):
    ended, out = classifier
    assert ended.out.splitlines()[-2].startswith('in1k_finetune_vitb: accuracy/top1 ')
    assert (out / 'in1k_finetune_vitb.py').is_file() and find_checkpoint(out).name == 'epoch_1.pth'


def test_predict(classifier, photos, tmp_path):
    ended = command('predict', classifier[1], photos, tmp_path / 'out', '--batch-size', 4, '--device', 'cpu')
    assert ended.code == 0, ended.err
    assert '24 images in ' in ended.out and str(tmp_path / 'out' / 'scores.csv') in ended.out
    table = (tmp_path / 'out' / 'scores.csv').read_text()
    assert 'ant' in table and 'bee' in table and '023.jpg' in table


def test_embed(pretrained, photos, tmp_path):
    words = ['--batch-size', 8, '--device', 'cpu', '--map', tmp_path / 'map.png']
    ended = command('embed', pretrained[1], photos, tmp_path / 'vectors.npz', *words)
    assert ended.code == 0, ended.err
    lines = [f'24 images x 32 numbers: {tmp_path}/vectors.npz', f'map: {tmp_path}/map.png']
    assert ended.out.splitlines()[-2:] == lines and (tmp_path / 'map.png').is_file()
    with np.load(tmp_path / 'vectors.npz') as table:
        assert any(values.shape == (24, 32) for values in table.values())


def test_export(pretrained, tmp_path):
    ended = command('export', pretrained[1], tmp_path / 'vit', '--format', 'timm')
    assert ended.code == 0 and str(tmp_path / 'vit') in ended.out, ended.err
    assert json.loads((tmp_path / 'vit' / 'config.json').read_text())


def test_convert(pretrained, tmp_path):
    ended = command('convert', pretrained[1], tmp_path / 'vit.safetensors', '--to', 'timm', '--half')
    assert ended.code == 0 and 'converted to timm: encoder ' in ended.out, ended.err
    assert load_file(tmp_path / 'vit.safetensors')['patch_embed.proj.weight'].dtype == torch.float16
    line = error_line(command('convert', pretrained[1], tmp_path / 'vit.safetensors', '--to', 'timm'))
    assert line.endswith('exists: choose another name, or give --force')


def test_plan(tmp_path):
    words = ['arch=48x2x2', 'image_size=64', 'model.decoder.embed_dim=32', 'model.decoder.depth=1']
    config = 'mae_transfer::mae_pretrain_vitb.py'
    memory = ['--gpus', 2, '--gpu-memory', 0.05, '--json', tmp_path / 'plan.json']
    ended = command('plan', config, *memory, *words, '--set', 'total_batch_size=64')
    assert ended.code == 0, ended.err
    plan = json.loads((tmp_path / 'plan.json').read_text())
    assert plan['total'] == 64 and plan['recommended'] and plan['command'] in ended.out


@pytest.mark.parametrize(
    'words, line',
    [
        (['pretrain', 'no/photos', 'out', 'max_epoch=3'], "'max_epoch'; did you mean 'max_epochs'?"),
        (['pretrain', 'no/photos', 'out'], 'no/photos does not exist'),
        (['finetune', 'detec', 'data', 'none', 'out'], "argument task: invalid choice: 'detec'"),
        (['finetune', 'classify', 'data', 'none', 'out', '--recipe', 'probe'], 'one of finetune, linprobe'),
        (['test', 'no/run'], 'no/run'),
        (['predict', 'no/run', 'photos', 'out'], 'no/run'),
        (['embed', 'no/run', 'photos', 'out.npz'], 'no/run'),
        (['export', 'no/run', 'out.onnx'], 'no/run'),
        (['reconstruct', 'no/run', 'out.txt'], 'must end in the suffix of an image format'),
        (['plan', 'no.py', '--gpus', '0', '--gpu-memory', '1'], '--gpus is 1 or more; found 0'),
        (['pretrain', 'photos', 'out', '--gpus', '0'], '--gpus is 1 or more; found 0'),
    ],
)
def test_a_mistake_is_one_line(words, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert line in error_line(command(*words))


def test_gpus_start_the_same_words_in_processes(monkeypatch):
    started = []
    monkeypatch.setattr(processes.os, 'execve', lambda *arguments: started.append(arguments))
    monkeypatch.setattr('mae_transfer.api.training.test', lambda *_, **__: pytest.fail('runs in this process'))
    with pytest.raises(pytest.fail.Exception):
        command('test', 'run', '--gpus', 2, 'a.b=1')
    script, words, environment = started[0]
    assert script.name == 'dist_command.sh' and script.stat().st_mode & 0o111
    assert words == [str(script), '2', 'test', 'run', '--gpus', '2', 'a.b=1'] and environment['PYTHON']


@pytest.mark.slow
def test_two_processes_train_together(photos, tmp_path):
    """A minute: three processes import everything."""
    words = [sys.executable, '-m', 'mae_transfer.command', 'pretrain', 'PHOTOS', 'run', '--arch', ARCH, '--gpus', '2']
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), PORT=str(free_port()), OMP_NUM_THREADS='1')

    def train(data, *settings):
        run = [str(data) if word == 'PHOTOS' else word for word in words]
        options = dict(env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        return subprocess.run([*run, *settings], **options)

    ended = train(photos, *settings(), 'train_dataloader.batch_size=4')
    assert ended.returncode == 0, ended.stderr
    assert 'batch 8 = 4 images x 2 processes x 1 accumulated' in ended.stdout
    assert ended.stdout.count('mae_pretrain_vitb: reconstruction/masked_loss ') == 1, 'both processes tell'
    ended = train('no/photos')
    lines = [line for line in ended.stderr.splitlines() if line.startswith('error: ')]
    assert ended.returncode == 2 and len(lines) == 1 and 'no/photos does not exist' in lines[0], ended.stderr


def test_without_bash_the_launcher_of_pytorch_is_named(monkeypatch):
    monkeypatch.setattr(processes, 'SCRIPT', processes.SCRIPT.with_name('none.sh'))
    line = error_line(command('test', 'run', '--gpus', 2))
    assert 'cannot be run (No such file or directory)' in line and 'torchrun --nproc_per_node 2 ' in line
