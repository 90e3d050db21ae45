"""tools/convert_checkpoint.py: conversions between layouts, and what it refuses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from mae_transfer.vit.weights.checkpoint import load_vit, read_checkpoint, read_weights
from mae_transfer.vit.weights.head import fold_head_norm
from mae_transfer.vit.weights.layouts import LAYOUTS, from_canonical
from tests.pretraining.test_mae import small_mae
from tests.tools.commands import call, error_line, run
from tests.vit.weights.test_checkpoint import randomize, small_vit, unchanged


def convert(*arguments) -> str:
    """The output of the tool, which must succeed."""
    ended = call('convert_checkpoint', *arguments)
    assert ended.code == 0, ended.err
    return ended.out


@pytest.fixture
def official(tmp_path):
    """(our model, path of its weights as an official file)"""
    model = randomize(small_mae())
    weights = read_weights(model.state_dict())
    torch.save(dict(model=from_canonical(weights.encoder, weights.decoder, 'official')), tmp_path / 'official.pth')
    return model, tmp_path / 'official.pth'


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_converts_to_every_layout_and_back(layout, suffix, official, tmp_path):
    model, source = official
    there, back = tmp_path / f'there{suffix}', tmp_path / 'folder' / f'back{suffix}'
    printed = convert(source, there, '--to', layout)
    assert 'layout official' in printed and f'converted to {layout}: encoder (30)' in printed
    assert ('dropped: nothing' in printed) == (layout != 'timm')
    if layout == 'timm':
        assert 'dropped (20): ' in printed and 'decoder.mask_token' in printed and 'decoder.pred.weight' in printed
    vit = small_vit()
    load_vit(vit, there)
    assert unchanged(vit, model.vit.state_dict())
    if layout != 'timm':
        convert(there, back, '--to', 'official')
        found, expected = read_weights(back), read_weights(source)
        for part in ('encoder', 'decoder'):
            assert set(getattr(found, part)) == set(getattr(expected, part))
            assert all(
                torch.equal(value, getattr(expected, part)[name]) for name, value in getattr(found, part).items()
            )
    assert not list(tmp_path.rglob('*.part'))


def test_files_are_wrapped_as_their_readers_expect(official, tmp_path):
    for layout, key in dict(official='model', mmpretrain='state_dict', mae_transfer='state_dict').items():
        convert(official[1], tmp_path / 'converted' / f'{layout}.pth', '--to', layout)
        assert list(read_checkpoint(tmp_path / 'converted' / f'{layout}.pth')) == [key]
    model = small_mae()
    model.load_state_dict(read_checkpoint(tmp_path / 'converted' / 'mae_transfer.pth')['state_dict'], strict=True)
    assert unchanged(model, official[0].state_dict())


def test_split_matrices_are_stored_without_the_whole_matrix(official, tmp_path):
    convert(official[1], tmp_path / 'hf.pth', '--to', 'hf')
    stored = read_checkpoint(tmp_path / 'hf.pth')
    assert all(value.untyped_storage().nbytes() == value.numel() * 4 for value in stored.values())


def test_heads_are_converted_where_the_layout_has_a_place(tmp_path):
    state = dict(randomize(small_vit(final_norm=False)).state_dict())
    state |= {'fc_norm.weight': torch.ones(32), 'head.weight': torch.ones(3, 32)}
    torch.save(dict(model=state), tmp_path / 'fine-tuned.pth')
    convert(tmp_path / 'fine-tuned.pth', tmp_path / 'mmpretrain.safetensors', '--to', 'mmpretrain')
    assert {'backbone.ln2.weight', 'head.layers.head.weight'} < set(load_file(tmp_path / 'mmpretrain.safetensors'))
    printed = convert(tmp_path / 'fine-tuned.pth', tmp_path / 'hf.safetensors', '--to', 'hf')
    assert 'dropped (2): fc_norm.weight, head.weight' in printed
    assert 'head left out, it would be another classifier: ' in printed and 'this classifier averages' in printed
    assert 'the ViT has no final norm' in printed
    assert 'classifier.weight' not in load_file(tmp_path / 'hf.safetensors')


def test_overwrites_only_with_force(official, tmp_path):
    target = tmp_path / 'there.pth'
    target.write_text('precious')
    line = error_line(call('convert_checkpoint', official[1], target, '--to', 'timm'))
    assert target.read_text() == 'precious' and line.endswith('exists: choose another name, or give --force')
    convert(official[1], target, '--to', 'timm', '--force')
    assert read_weights(target).layout == 'timm'


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        ({'conv1.weight': torch.ones(1)}, 'no ViT in the weights'),
        ({'patch_embed.proj.weight': torch.ones(2, 3, 4, 4)}, 'has no block of a ViT'),
        ({'epoch': 3}, 'no ViT in the weights'),
    ],
)
def test_a_file_without_a_vit_is_refused(state, message, tmp_path):
    torch.save(state, tmp_path / 'other.pth')
    line = error_line(call('convert_checkpoint', tmp_path / 'other.pth', tmp_path / 'there.pth', '--to', 'timm'))
    assert message in line and not (tmp_path / 'there.pth').exists()


@pytest.mark.parametrize(
    'dst, words',
    [
        ('there.npz', "there.npz' ends in '.npz': choose one of .pth, .safetensors, e.g. "),
        ('there', "there' has no suffix: choose one of .pth, .safetensors, e.g. "),
        ('folder', "folder' is a folder: name a file in it"),
        ('folder.pth', "folder.pth' is a folder: name a file in it"),
        ('file/there.pth', "file' cannot be created: "),
    ],
)
def test_an_impossible_destination_is_refused_before_anything_is_read(dst, words, tmp_path):
    for folder in ('folder', 'folder.pth'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'file').touch()
    before = sorted(tmp_path.rglob('*'))
    ended = call('convert_checkpoint', tmp_path / 'none.pth', tmp_path / dst, '--to', 'timm', '--force')
    assert words in error_line(ended) and sorted(tmp_path.rglob('*')) == before


def test_float16_halves_the_file(official, tmp_path):
    for name, options in (('whole', []), ('half', ['--half'])):
        convert(official[1], tmp_path / f'{name}.safetensors', '--to', 'timm', *options)
    whole, half = (load_file(tmp_path / f'{name}.safetensors') for name in ('whole', 'half'))
    assert all(
        torch.equal(value.half(), half[name]) and half[name].dtype == torch.half for name, value in whole.items()
    )


def test_as_a_command(official, tmp_path):
    good = run('convert_checkpoint.py', official[1], tmp_path / 'there.safetensors', '--to', 'hf')
    assert good.code == 0 and 'converted to hf' in good.out
    bad = call('convert_checkpoint', tmp_path / 'none.pth', tmp_path / 'more.pth', '--to', 'hf')
    assert bad.code == 2 and bad.err == f"error: no checkpoint file or work_dir '{tmp_path}/none.pth'\n"


@pytest.mark.parametrize('layout', ['hf_dinov2', 'timm', 'dinov2', 'mae_transfer', 'official'])
def test_other_projects_vits_are_converted(layout, tmp_path):
    """A DINOv2 of transformers', in the layouts that have a place for layer scale and in one that has none."""
    vit = randomize(small_vit(design='dinov2')).eval()
    images = torch.randn(2, 3, 32, 32)
    state = from_canonical(vit.state_dict(), None, 'hf_dinov2')
    torch.save({f'dinov2.{name}': value for name, value in state.items()}, tmp_path / 'dinov2.pth')
    printed = convert(tmp_path / 'dinov2.pth', tmp_path / 'there.safetensors', '--to', layout)
    assert 'layout hf_dinov2' in printed
    back = small_vit(design='dinov2' if layout != 'official' else None).eval()
    load_vit(back, tmp_path / 'there.safetensors')
    torch.testing.assert_close(back.tokens(images), vit.tokens(images), rtol=1e-5, atol=1e-5)


def test_a_head_that_a_project_has_none_of_is_left_out(tmp_path):
    state = small_vit(design='dinov2').state_dict() | {'head.weight': torch.ones(5, 32), 'head.bias': torch.ones(5)}
    torch.save(state, tmp_path / 'timm.pth')
    printed = convert(tmp_path / 'timm.pth', tmp_path / 'there.pth', '--to', 'hf_dinov2')
    assert 'head left out, it would be another classifier: its models have none like this one' in printed


# --- files as people have them ----------------------------------------------------------------------------------------
def test_another_copy_is_written_by_its_key(tmp_path):
    vits = [randomize(small_vit(), seed).state_dict() for seed in (1, 2)]
    torch.save(dict(state_dict=vits[0], state_dict_ema=vits[1]), tmp_path / 'both.pth')
    printed = convert(tmp_path / 'both.pth', tmp_path / 'first.pth', '--to', 'timm')
    assert "taken: 'state_dict'; also in the file: state_dict_ema (weights_key='state_dict_ema' takes that)" in printed
    convert(tmp_path / 'both.pth', tmp_path / 'second.pth', '--to', 'timm', '--weights-key', 'state_dict_ema')
    for name, expected in zip(('first', 'second'), vits):
        vit = small_vit()
        load_vit(vit, tmp_path / f'{name}.pth')
        assert unchanged(vit, expected)
    line = error_line(
        call('convert_checkpoint', tmp_path / 'both.pth', tmp_path / 'x.pth', '--to', 'hf', '--weights-key', 'a')
    )
    assert "no ViT at weights_key='a': the file has state_dict, state_dict_ema" in line


@pytest.mark.parametrize('layout', LAYOUTS)
def test_heads_of_other_names_and_records_are_left_out(layout, tmp_path):
    state = randomize(small_vit()).state_dict()
    beside = {'fc.weight': torch.ones(5, 32), 'head.fc1.weight': torch.ones(9, 32), 'mean': torch.ones(3)}
    torch.save(dict(model={f'net.{name}': value for name, value in (state | beside).items()}), tmp_path / 'x.pth')
    printed = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', '--to', layout)
    assert 'dropped (3): fc.weight, head.fc1.weight, mean' in printed and "names: below 'net.'" in printed
    written = read_weights(tmp_path / 'y.pth')
    assert set(written.encoder) == set(state) and not written.head and not written.other


@pytest.mark.parametrize('layout', LAYOUTS)
def test_the_official_linear_probe_is_converted(layout, tmp_path):
    state = randomize(small_vit()).state_dict()
    weight, bias = torch.randn(5, 32), torch.randn(5)
    mean, variance = torch.randn(32), torch.rand(32) + 0.1
    probe = {'head.0.running_mean': mean, 'head.0.running_var': variance, 'head.0.num_batches_tracked': torch.tensor(9)}
    torch.save(dict(model={**state, **probe, 'head.1.weight': weight, 'head.1.bias': bias}), tmp_path / 'probe.pth')
    printed = convert(tmp_path / 'probe.pth', tmp_path / 'there.safetensors', '--to', layout)
    assert 'dropped: nothing' in printed and ('batch norm is folded into it' in printed) == (layout != 'mae_transfer')
    head, features = fold_head_norm(read_weights(tmp_path / 'there.safetensors').head), torch.randn(7, 32)
    expected = F.linear((features - mean) / (variance + 1e-6).sqrt(), weight, bias)
    torch.testing.assert_close(
        F.linear(features, head['head.weight'], head['head.bias']), expected, rtol=1e-4, atol=1e-4
    )


def test_positions_without_a_row_for_the_class_token_are_written_with_one(tmp_path):
    state = randomize(small_vit()).state_dict()
    state['pos_embed'] = state['pos_embed'][:, 1:].clone()
    torch.save(state, tmp_path / 'deit3.pth')
    printed = convert(tmp_path / 'deit3.pth', tmp_path / 'hf.pth', '--to', 'hf')
    assert 'a row of zeros for the class token put in front' in printed
    assert read_weights(tmp_path / 'hf.pth').encoder['pos_embed'].shape == (1, 17, 32)
