"""The call: runs of each task and weights of a ViT alone, to every format; and the model cards of runs."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import timm
import torch
import transformers

from mae_transfer.errors import UserError
from mae_transfer.exporting.export import export
from mae_transfer.exporting.model_card import last_metrics
from mae_transfer.inference.trained import load
from mae_transfer.vit.weights.checkpoint import read_weights
from mae_transfer.vit.weights.layouts import from_canonical
from tests.exporting.test_onnx_file import noise


def opened(path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


def test_a_pre_training_to_onnx(runs, tmp_path):
    result = export(runs('pretrain'), tmp_path / 'vit.onnx')
    trained, images = load(runs('pretrain'), device='cpu'), noise(2, 3, 40, 56)
    with torch.no_grad():
        expected = trained.vit.tokens(trained.model.data_preprocessor(dict(inputs=images))['inputs'])
    found = dict(zip(('class', 'patches'), opened(result.files[0]).run(None, dict(images=images.numpy()))))
    torch.testing.assert_close(torch.from_numpy(found['class']), expected[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.from_numpy(found['patches']), expected[:, 1:], rtol=1e-4, atol=1e-4)
    assert str(result).startswith(f'{tmp_path}/vit.onnx: onnx, 0.') and 'equal to ' in str(result)


def test_a_pre_training_to_transformers_with_its_decoder(runs, tmp_path):
    result = export(runs('pretrain'), tmp_path / 'mae', format='transformers')
    assert result.checked.startswith('reconstruction, class token, patches of ViTMAEForPreTraining')
    trained, images = load(runs('pretrain'), device='cpu'), torch.randn(2, 3, 32, 32)
    order = torch.rand(2, 16)
    with torch.no_grad():
        masked = transformers.ViTMAEForPreTraining.from_pretrained(tmp_path / 'mae').eval()(images, noise=order)
        loss = trained.model(images, noise=order)['loss']
        plain = transformers.ViTModel.from_pretrained(tmp_path / 'mae', add_pooling_layer=False).eval()(images)
        torch.testing.assert_close(plain.last_hidden_state, trained.vit.tokens(images), rtol=1e-5, atol=1e-5)
        encoder = transformers.ViTMAEModel.from_pretrained(tmp_path / 'mae').eval()
    assert masked.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    weights = dict(encoder.state_dict())
    assert torch.equal(weights['layernorm.weight'], trained.vit.norm.weight)


def test_the_card_of_a_pre_training_says_what_the_run_knows(runs, tmp_path):
    export(runs('pretrain'), tmp_path / 'mae', format='timm')
    card = (tmp_path / 'mae/README.md').read_text()
    log = next(runs('pretrain').glob('*/vis_data/scalars.json')).read_text().splitlines()
    loss = [json.loads(line)['loss'] for line in log if 'loss' in json.loads(line)][-1]
    for line in (
        'library_name: timm',
        'license: # to be filled in',
        "model = timm.create_model('local-dir:mae', pretrained=True).eval()",
        '- model: MAE',
        f'- data: `{runs("pretrain").parent / "data"}`',
        '- length: 1 steps, 1 epochs of 1, on 1 process',
        "- masking: ratio=0.75, type='RandomMasking'",
        '- target: NormalizedPixelTarget',
        '- `total_batch_size`: `8`',
        f'| loss | {loss:.6g} |',
        'Mean 123.675, 116.28, 103.53 and deviation 58.395, 57.12, 57.375, for values on 0 to 255.',
    ):
        assert line in card, line
    assert '| reconstruction/masked_loss |' in card


def test_a_classifier(runs, tmp_path):
    result = export(runs('classify'), tmp_path / 'classifier.onnx', output='probabilities')
    session = opened(result.files[0])
    images = noise(3, 3, 32, 32)
    (found,) = session.run(['probabilities'], dict(images=images.numpy()))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map['classes']) == ['blue', 'green', 'red']
    export(runs('classify'), tmp_path / 'timm', format='timm')
    trained = load(runs('classify'), device='cpu')
    theirs = timm.create_model(f'local-dir:{tmp_path / "timm"}', pretrained=True).eval()
    with torch.no_grad():
        inputs = trained.model.data_preprocessor(dict(inputs=images, labels=torch.zeros(0)))['inputs']
        expected = trained.model(inputs, mode='tensor')
        torch.testing.assert_close(theirs(inputs), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(found), expected.softmax(1), rtol=1e-4, atol=1e-4)
    card = (tmp_path / 'timm/README.md').read_text()
    assert '- classes: 3: blue, green, red' in card and 'pipeline_tag: image-classification' in card


def test_a_segmentor_as_label_maps(runs, tmp_path):
    trained = load(runs('segment'), device='cpu')
    result = export(trained, tmp_path / 'segmentor.onnx', output='labels')
    session, images = opened(result.files[0]), noise(1, 3, 75, 61)
    (found,) = session.run(None, dict(images=images.numpy()))
    mean, std = trained.model.data_preprocessor.mean, trained.model.data_preprocessor.std
    with torch.no_grad():
        expected = trained.model.encode_decode((images.float() - mean) / std, [{}]).argmax(1)
    assert found.shape == (1, 75, 61) and (torch.from_numpy(found) == expected).float().mean() > 0.999
    assert json.loads(session.get_modelmeta().custom_metadata_map['classes']) == ['road', 'field']


def test_of_a_detector_only_the_vit(runs, tmp_path):
    for format, out in (('onnx', 'detector.onnx'), ('timm', 'folder')):
        with pytest.raises(UserError, match="MaskRCNN is not .*, only ViTs.* its ViT alone is, by part='vit'"):
            export(runs('detect'), tmp_path / out, format=format)
    result = export(runs('detect'), tmp_path / 'vit.onnx', part='vit')
    assert result.difference <= 1e-4 and [path.name for path in tmp_path.iterdir()] == ['vit.onnx']


def test_weights_of_a_vit_alone(runs, tmp_path):
    """As ``pretrained`` takes them: official files, and what was exported before."""
    weights = read_weights(runs('pretrain'))
    torch.save(dict(model=from_canonical(weights.encoder, weights.decoder, 'official')), tmp_path / 'official.pth')
    vit, images = load(runs('pretrain'), device='cpu').vit, torch.randn(1, 3, 32, 32)
    first = export(tmp_path / 'official.pth', tmp_path / 'first', format='transformers', arch='32x2x2')
    again = export(tmp_path / 'first', tmp_path / 'again', format='timm')
    assert first.difference <= 1e-5 and again.difference <= 1e-5
    theirs = timm.create_model(f'local-dir:{tmp_path / "again"}', pretrained=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs.forward_features(images), vit.tokens(images), rtol=1e-5, atol=1e-5)
    assert '## Training' not in (tmp_path / 'again/README.md').read_text()


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(format='tflite'), "format is one of onnx, timm, transformers; found 'tflite'"),
        (dict(part='head'), "part is one of model, vit; found 'head'"),
        (dict(format='timm', output='labels'), "output is of format='onnx': leave it out for format='timm'"),
        (dict(format='timm', image_size=64), "image_size is of format='onnx'"),
        (dict(), 'no checkpoint file or work_dir'),
        (dict(design='dinov9', arch='small'), 'no checkpoint file or work_dir'),
    ],
)
def test_bad_inputs(settings, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        export(tmp_path / 'none', tmp_path / 'vit.onnx', **settings)
    assert '\n' not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'format, out, words',
    [
        ('onnx', 'vit.pt', r'must end in \.onnx'),
        ('timm', '.', 'has files'),
        ('onnx', 'file/vit.onnx', 'cannot be created'),
    ],
)
def test_the_place_is_checked_before_the_model_is_read(format, out, words, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=words):
        export(tmp_path / 'none', tmp_path / out, format=format)


def test_a_log_that_was_cut_is_read_to_there(tmp_path):
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 2.0, "lr": 0.1, "step": 1}\n{"loss": 1.5, "time": 3}\n{"mIoU": 41.5, "step": 2}\n{"loss"')
    assert last_metrics(tmp_path / 'iter_2.pth') == dict(loss=1.5, mIoU=41.5)
    assert last_metrics(None) == {}
