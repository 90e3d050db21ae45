"""Folders that timm and transformers load give our features and logits; what they have no place for is one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.exporting import model_folder, results
from mae_transfer.exporting.model_folder import export_folder
from mae_transfer.exporting.source import Source, source_of
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import load_vit
from tests.dense.small_segmentor import segmentor
from tests.exporting.test_onnx_file import RGB, SETTINGS, noise, small_classifier, small_source
from tests.helpers import save_photo

#: What SETTINGS lack: ViTs without a class token, and gated MLPs.
MORE = {
    'siglip without class token': dict(design='siglip', class_token=False),
    'dinov2, gated': dict(design=dict(like='dinov2', registers=4, mlp='swiglu')),
    'dinov3, gated': dict(design=dict(like='dinov3', mlp='swiglu')),
}
DESIGNS = SETTINGS | MORE
#: The other project's model, or a part of the line that refuses the ViT.
TIMM = {
    'eva02': 'eva02_tiny_patch14_224',
    'dinov3': 'vit_base_patch16_dinov3',
    'clip': 'vit_base_patch16_clip_quickgelu_224',
    'beit with its tables': 'beit_base_patch16_224',
    'dinov2, gated': 'vit_giant_patch14_dinov2',
    'dinov3, gated': 'vit_base_patch16_dinov3',
    'sub-LN': "timm has no model like this one .*blocks.0.attn.norm.bias.*: choose format='onnx'",
    'shared table': "timm has no ViT with rel_pos='shared'",
    'table of another size': "a bias of keys that is not zero.*: choose format='onnx'",
    'decomposed': "timm has no ViT with rel_pos='decomposed'",
    'windows': 'timm has no ViT with .*',
    'windows, tables': 'timm has no ViT with .*',
    'windows, rotary': r'timm has no ViT with windows \(window_size=3\)',
}
TRANSFORMERS = {
    'deit3': 'Dinov2Model',
    'dinov2': 'Dinov2Model',
    'registers': 'Dinov2WithRegistersModel',
    'dinov2, gated': 'Dinov2WithRegistersModel',
    'dinov3': 'DINOv3ViTModel',
    'dinov3, gated': 'DINOv3ViTModel',
    'clip': 'CLIPVisionModel',
    'siglip without class token': 'SiglipVisionModel',
    'beit with its tables': 'BeitModel',
    'beit': "has no ViT with no positions: choose format='timm' or 'onnx'",
    'eva02': "has no ViT with rotary='eva02'",
    'sub-LN': "has no ViT with rotary='eva02'",
    'norms of queries and keys': "layout hf cannot store 'blocks.0.attn.q_norm.weight' of the encoder: choose",
    'shared table': "has no ViT with rel_pos='shared'",
    'table of another size': 'a bias of keys that is not zero',
    'decomposed': "has no ViT with rel_pos='decomposed'",
    'windows': 'has no ViT with .*',
    'windows, tables': 'has no ViT with .*',
    'windows, rotary': 'has no ViT with windows',
    'no final norm': "its ViT has no final norm, .*: choose format='timm' or 'onnx'",
}
CASES = [('timm', name, TIMM.get(name, 'vit_base_patch16_224')) for name in DESIGNS]
CASES += [('transformers', name, TRANSFORMERS.get(name, 'ViTModel')) for name in DESIGNS]


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(RGB[key]).view(-1, 1, 1) for key in ('mean', 'std'))
    return (images.float() - mean) / std


def their_tokens(format: str, name: str, folder, images: torch.Tensor) -> torch.Tensor:
    """All tokens, as a user gets them by the lines of the model card."""
    if format == 'timm':
        return timm.create_model(f'local-dir:{folder}', pretrained=True).eval().forward_features(images)
    return getattr(transformers, name).from_pretrained(folder).eval()(images).last_hidden_state


@pytest.mark.parametrize('format, design, wanted', CASES)
def test_every_design(format, design, wanted, tmp_path):
    source, folder = small_source(**DESIGNS[design]), tmp_path / 'folder'
    if ' ' in wanted or '.*' in wanted:
        with pytest.raises(UserError, match=wanted) as caught:
            export_folder(source, folder, format)
        assert '\n' not in str(caught.value) and not list(tmp_path.iterdir())
        return
    result = export_folder(source, folder, format)
    assert f'of {wanted} compared' in result.checked and result.difference <= 1e-5
    assert all(file.is_file() for file in result.files) and result.files[0] == folder / 'model.safetensors'
    assert [path.name for path in tmp_path.iterdir()] == ['folder']
    images = normalised(noise(2, 3, *(side * 8 for side in source.vit.grid)))
    with torch.no_grad():
        found, expected = their_tokens(format, wanted, folder, images), source.vit.tokens(images)
    if wanted == 'CLIPVisionModel':  # its last norm is for the class token alone
        norm = source.vit.norm
        found = torch.nn.functional.layer_norm(found, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    special = source.vit.num_special
    torch.testing.assert_close(found[:, special:], expected[:, source.vit.num_prefix :], rtol=1e-5, atol=1e-5)
    if source.vit.num_prefix:
        torch.testing.assert_close(found[:, 0], expected[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('format', ['timm', 'transformers'])
def test_the_way_back(format, tmp_path):
    """The folder is one of those that ``pretrained`` takes."""
    source = small_source(img_size=(24, 64))
    export_folder(source, tmp_path / 'folder', format)
    back = small_source(img_size=(24, 64)).vit
    report = load_vit(back, tmp_path / 'folder', source_grid=None if format == 'transformers' else (3, 8))
    assert not report.missing and not report.unexpected
    assert all(torch.equal(value, source.vit.state_dict()[name]) for name, value in back.state_dict().items())


@pytest.mark.parametrize('settings', [dict(pooling='patch_mean'), dict(pooling='class_token', batch_norm=True)])
def test_classifiers_of_timm(settings, tmp_path):
    model, images = small_classifier(**settings), noise(2, 3, 32, 32)
    export_folder(source_of(model, classes=tuple('abcde')), tmp_path / 'folder', 'timm')
    theirs = timm.create_model(f'local-dir:{tmp_path / "folder"}', pretrained=True).eval()
    assert theirs.pretrained_cfg['label_names'] == [*'abcde'] and theirs.pretrained_cfg['input_size'] == (3, 32, 32)
    assert theirs.pretrained_cfg['mean'] == pytest.approx([0.485, 0.456, 0.406])
    with torch.no_grad():
        expected = model(normalised(images), mode='tensor')
        torch.testing.assert_close(theirs(normalised(images)), expected, rtol=1e-5, atol=1e-5)
        # The weights alone, in a model of the user's.
        arguments = json.loads((tmp_path / 'folder/config.json').read_text())
        theirs = timm.create_model(
            'vit_base_patch16_224',
            checkpoint_path=str(tmp_path / 'folder/model.safetensors'),
            num_classes=5,
            **arguments['model_args'],
        ).eval()
        torch.testing.assert_close(theirs(normalised(images)), expected, rtol=1e-5, atol=1e-5)


def test_a_classifier_and_its_images_in_transformers(tmp_path):
    model = small_classifier(pooling='class_token')
    export_folder(source_of(model, classes=tuple('abcde')), tmp_path / 'folder', 'transformers')
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path / 'folder').eval()
    assert theirs.config.id2label == dict(enumerate('abcde'))
    photo = Image.open(save_photo(tmp_path / 'photo.png', size=(32, 32)))
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / 'folder')
    processor.size, processor.do_resize = None, False
    images = processor(photo, return_tensors='pt')
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
    torch.testing.assert_close(images['pixel_values'], normalised(pixels), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        expected = model(images['pixel_values'], mode='tensor')
        torch.testing.assert_close(theirs(**images).logits, expected, rtol=1e-5, atol=1e-5)


def test_what_transformers_has_no_classifier_for(tmp_path):
    with pytest.raises(UserError, match="averages the patches .*: choose format='timm' or 'onnx'"):
        export_folder(source_of(small_classifier(pooling='patch_mean')), tmp_path / 'folder', 'transformers')
    with pytest.raises(UserError, match="AnySizeSegmentor is not written for timm, .* by part='vit'"):
        export_folder(source_of(segmentor()), tmp_path / 'folder', 'timm')


def test_bands_by_number_have_no_image_processor(tmp_path):
    torch.manual_seed(0)
    vit = ViT('32x2x2', img_size=32, patch_size=8, in_channels=4).eval()
    source = Source(vit, (3, 2, 1, 8), (900.0,) * 4, (90.0,) * 4, (32, 32))
    result = export_folder(source, tmp_path / 'folder', 'transformers')
    assert 'reads no such images' in result.notes[0]
    assert not (tmp_path / 'folder/preprocessor_config.json').exists()


def test_a_folder_that_gives_other_values_is_not_left(tmp_path, monkeypatch):
    state = model_folder._state

    def changed(*arguments):
        weights = state(*arguments)
        return weights | {'norm.bias': weights['norm.bias'] + 1e-3}

    monkeypatch.setattr(model_folder, '_state', changed)
    with pytest.raises(UserError, match='vit_base_patch16_224 of timm gives another .* more than 1e-05'):
        export_folder(small_source(), tmp_path / 'folder', 'timm')
    assert not list(tmp_path.iterdir())


def test_bad_inputs(tmp_path, monkeypatch):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/precious').touch()
    with pytest.raises(UserError, match="full' has files: name one that is new or empty"):
        export_folder(small_source(), tmp_path / 'full', 'timm')
    with pytest.raises(UserError, match='cannot be created'):
        export_folder(small_source(), tmp_path / 'full/precious/folder', 'timm')
    monkeypatch.setattr(results, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='needs transformers, which is not installed: pip install'):
        export_folder(small_source(), tmp_path / 'folder', 'transformers')
    assert [path.name for path in tmp_path.rglob('*')] == ['full', 'precious']
