"""tools/convert_checkpoint.py, as it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import mae_transfer
from mae_transfer.vit.checkpoint import load_vit, read_checkpoint, read_weights
from mae_transfer.vit.layouts import LAYOUTS, from_canonical
from tests.pretrain.test_mae import small_mae
from tests.vit.test_checkpoint import randomize, small_vit, unchanged

REPOSITORY = Path(mae_transfer.__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / 'tools'))
import convert_checkpoint  # noqa: E402  tools/ is no package

TOOL = [sys.executable, str(REPOSITORY / 'tools' / 'convert_checkpoint.py')]


def convert(*arguments, monkeypatch) -> int:
    """The tool's exit code, run in this process."""
    monkeypatch.setattr(sys, 'argv', ['convert_checkpoint.py', *map(str, arguments)])
    try:
        convert_checkpoint.run_main(convert_checkpoint.main)
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture
def official(tmp_path):
    """(our model, path of its weights as an official file)"""
    model = randomize(small_mae())
    weights = read_weights(model.state_dict())
    torch.save(dict(model=from_canonical(weights.encoder, weights.decoder, 'official')), tmp_path / 'official.pth')
    return model, tmp_path / 'official.pth'


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_converts_to_every_layout_and_back(layout, suffix, official, tmp_path, monkeypatch, capsys):
    model, source = official
    there, back = tmp_path / f'there{suffix}', tmp_path / 'folder' / f'back{suffix}'
    assert convert(source, there, '--to', layout, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert 'layout official' in printed and f'converted to {layout}: encoder (30)' in printed
    assert ('dropped: nothing' in printed) == (layout != 'timm')
    if layout == 'timm':
        assert 'dropped (20): ' in printed and 'decoder.mask_token' in printed and 'decoder.pred.weight' in printed
    vit = small_vit()
    load_vit(vit, there)
    assert unchanged(vit, model.vit.state_dict())
    if layout != 'timm':
        assert convert(there, back, '--to', 'official', monkeypatch=monkeypatch) == 0
        found, expected = read_weights(back), read_weights(source)
        for part in ('encoder', 'decoder'):
            assert set(getattr(found, part)) == set(getattr(expected, part))
            assert all(
                torch.equal(value, getattr(expected, part)[name]) for name, value in getattr(found, part).items()
            )
    assert not list(tmp_path.rglob('*.part'))


def test_files_are_wrapped_as_their_readers_expect(official, tmp_path, monkeypatch):
    for layout, key in dict(official='model', mmpretrain='state_dict', mae_transfer='state_dict').items():
        convert(official[1], tmp_path / f'{layout}.pth', '--to', layout, monkeypatch=monkeypatch)
        assert list(read_checkpoint(tmp_path / f'{layout}.pth')) == [key]
    model = small_mae()
    model.load_state_dict(read_checkpoint(tmp_path / 'mae_transfer.pth')['state_dict'], strict=True)
    assert unchanged(model, official[0].state_dict())


def test_split_matrices_do_not_carry_the_whole_into_the_file(official, tmp_path, monkeypatch):
    convert(official[1], tmp_path / 'hf.pth', '--to', 'hf', monkeypatch=monkeypatch)
    stored = read_checkpoint(tmp_path / 'hf.pth')
    assert all(value.untyped_storage().nbytes() == value.numel() * 4 for value in stored.values())


def test_heads_go_along_where_there_is_a_place(tmp_path, monkeypatch, capsys):
    state = dict(randomize(small_vit(final_norm=False)).state_dict())
    state |= {'fc_norm.weight': torch.ones(32), 'head.weight': torch.ones(3, 32)}
    torch.save(dict(model=state), tmp_path / 'fine-tuned.pth')
    convert(
        tmp_path / 'fine-tuned.pth', tmp_path / 'mmpretrain.safetensors', '--to', 'mmpretrain', monkeypatch=monkeypatch
    )
    assert {'backbone.ln2.weight', 'head.layers.head.weight'} < set(load_file(tmp_path / 'mmpretrain.safetensors'))
    convert(tmp_path / 'fine-tuned.pth', tmp_path / 'hf.safetensors', '--to', 'hf', monkeypatch=monkeypatch)
    assert 'dropped (1): fc_norm.weight' in capsys.readouterr().out
    assert 'classifier.weight' in load_file(tmp_path / 'hf.safetensors')


def test_does_not_overwrite_unless_told(official, tmp_path, monkeypatch, capsys):
    target = tmp_path / 'there.pth'
    target.write_text('precious')
    assert convert(official[1], target, '--to', 'timm', monkeypatch=monkeypatch) != 0
    assert target.read_text() == 'precious' and '--force' in capsys.readouterr().err
    assert convert(official[1], target, '--to', 'timm', '--force', monkeypatch=monkeypatch) == 0
    assert read_weights(target).layout == 'timm'


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        ({'conv1.weight': torch.ones(1)}, 'no ViT in the weights'),
        ({'patch_embed.proj.weight': torch.ones(2, 3, 4, 4)}, 'no block of a ViT'),
        ({'epoch': 3}, 'no ViT in the weights'),
    ],
)
def test_nothing_to_convert_is_one_line(state, message, tmp_path, monkeypatch, capsys):
    torch.save(state, tmp_path / 'other.pth')
    assert convert(tmp_path / 'other.pth', tmp_path / 'there.pth', '--to', 'timm', monkeypatch=monkeypatch) != 0
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / 'there.pth').exists()


def test_other_suffix_is_refused(official, tmp_path, monkeypatch, capsys):
    assert convert(official[1], tmp_path / 'there.npz', '--to', 'timm', monkeypatch=monkeypatch) != 0
    assert "ends in '.npz': choose one of .pth, .safetensors" in capsys.readouterr().err


def test_as_a_command(official, tmp_path):
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), OMP_NUM_THREADS='1')
    good = subprocess.run(
        [*TOOL, str(official[1]), str(tmp_path / 'there.safetensors'), '--to', 'hf'],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert good.returncode == 0 and 'converted to hf' in good.stdout
    bad = subprocess.run(
        [*TOOL, str(tmp_path / 'none.pth'), str(tmp_path / 'more.pth'), '--to', 'hf'],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert bad.returncode != 0 and 'no checkpoint file' in bad.stderr and 'Traceback' not in bad.stderr
