"""ONNX files give what our models give, for images of sizes that the exporter has not seen; or nothing is left."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from mae_transfer.classify import ViTClassifier
from mae_transfer.errors import UserError
from mae_transfer.exporting import checking, onnx_file, results
from mae_transfer.exporting.graphs import TraceablePool
from mae_transfer.exporting.onnx_file import export_onnx
from mae_transfer.exporting.source import Source, source_of
from mae_transfer.vit import ViT
from mae_transfer.vit.design import DESIGNS
from tests.dense.small_segmentor import segmentor
from tests.helpers import enlarge

RGB = dict(bands='RGB', mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
#: Beside those of DESIGNS: everything that a setting of the ViT turns on.
OTHERS = {
    'registers': dict(design=dict(like='dinov2', registers=4)),
    'sub-LN': dict(design=dict(like='eva02', mlp_norm=True, attention_norm=True)),
    'norms of queries and keys': dict(design=dict(qk_norm=True)),
    'beit with its tables': dict(design='beit', rel_pos='table'),
    'shared table': dict(rel_pos='shared', class_token=False),
    'table of another size': dict(rel_pos='table', rel_pos_img_size=(24, 64)),
    'decomposed': dict(rel_pos='decomposed', class_token=False),
    'windows': dict(rel_pos='decomposed', class_token=False, window_size=3, global_blocks=(1,)),
    'windows, tables': dict(rel_pos='shared', class_token=False, window_size=3, global_blocks=(1,)),
    'windows, rotary': dict(design=dict(rotary='dinov3'), class_token=False, window_size=3, global_blocks=(1,)),
    'not square': dict(img_size=(24, 64)),
    'no final norm': dict(final_norm=False),
}
SETTINGS = {name: dict(design=name) for name in DESIGNS} | OTHERS
SIZES = [(1, 32, 32), (2, 40, 56), (3, 8, 64), (1, 80, 16), (5, 48, 48)]


def small_source(**settings) -> Source:
    torch.manual_seed(0)
    vit = enlarge(ViT('32x2x2', **dict(dict(img_size=32, patch_size=8), **settings))).eval()
    return Source(vit, **RGB, img_size=(32, 32), name='a small ViT')


def small_classifier(**settings) -> ViTClassifier:
    torch.manual_seed(0)
    vit = dict(type='ViT', arch='32x2x2', img_size=32, patch_size=8)
    preprocessor = dict(type='LabelledPreprocessor')
    model = enlarge(ViTClassifier(vit, num_classes=5, data_preprocessor=preprocessor, **settings))
    if isinstance(model.head_norm, nn.BatchNorm1d):
        model.head_norm.running_mean.normal_()
        model.head_norm.running_var.uniform_(0.1, 3)
    return model.eval()


def session(path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def assert_close(found: np.ndarray, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', SETTINGS)
def test_every_design_at_five_sizes(name, tmp_path):
    source = small_source(**SETTINGS[name])
    result = export_onnx(source, tmp_path / 'vit.onnx')
    assert result.files == (tmp_path / 'vit.onnx',) and result.difference < 1e-4 and '5 sizes' in result.checked
    assert [path.name for path in tmp_path.iterdir()] == ['vit.onnx']
    mean, std = (torch.tensor(RGB[key]).view(-1, 1, 1) for key in ('mean', 'std'))
    opened, vit = session(result.files[0]), source.vit
    for shape in SIZES:
        images = noise(shape[0], 3, *shape[1:])
        found = opened.run(None, dict(images=images.numpy()))
        with torch.no_grad():
            tokens = vit.tokens((images.float() - mean) / std)
        if vit.num_prefix:
            assert_close(found.pop(0), tokens[:, 0])
        assert_close(found[0], tokens[:, vit.num_prefix :])


@pytest.mark.parametrize('output', ['logits', 'probabilities', 'labels'])
@pytest.mark.parametrize(
    'settings', [dict(pooling='patch_mean'), dict(pooling='class_token', batch_norm=True)], ids=['mean', 'probe']
)
def test_classifier(settings, output, tmp_path):
    model = small_classifier(**settings)
    result = export_onnx(source_of(model, classes=('a', 'b', 'c', 'd', 'é')), tmp_path / 'classifier.onnx', output)
    opened = session(result.files[0])
    assert [found.name for found in opened.get_outputs()] == [output]
    for shape in SIZES:
        images = noise(shape[0], 3, *shape[1:])
        (found,) = opened.run(None, dict(images=images.numpy()))
        with torch.no_grad():
            logits = model(**model.data_preprocessor(dict(inputs=images, labels=torch.zeros(0))), mode='tensor')
        if output == 'labels':
            assert found.tolist() == logits.argmax(1).tolist()
        else:
            assert_close(found, logits if output == 'logits' else logits.softmax(1))
    told = opened.get_modelmeta().custom_metadata_map
    assert json.loads(told['classes']) == ['a', 'b', 'c', 'd', 'é'] and told['mae_transfer_version']
    assert json.loads(told['bands']) == 'RGB' and json.loads(told['image_size']) == [32, 32]
    assert told['input'] == (
        'images (batch, 3, height, width): red, green, blue; values 0 to 255; height and width multiples of 8; not '
        'normalised'
    )


@pytest.mark.parametrize('classes, output', [(5, 'logits'), (5, 'labels'), (5, 'probabilities'), (2, 'labels')])
def test_segmentor_at_sizes_of_any_pixels(classes, output, tmp_path):
    model = segmentor(dict(mode='slide', crop_size=(64, 64), stride=(42, 42)), classes=classes)
    result = export_onnx(source_of(model), tmp_path / 'segmentor.onnx', output)
    assert 'slide a window of 64 x 64' in result.notes[0]
    opened = session(result.files[0])
    # This preprocessor does not turn BGR: the model sees blue first, and the file red first as all do.
    images = {size: noise(size[0], 3, *size[1:]) for size in [(1, 64, 64), (2, 50, 97), (1, 33, 128), (1, 200, 61)]}
    for pixels in images.values():
        (found,) = opened.run(None, dict(images=pixels.numpy()))
        with torch.no_grad():
            logits = model.encode_decode((pixels.flip(1).float() - 128) / 64, [{}])
        if output == 'labels':
            labels = torch.from_numpy(found)
            assert labels.shape == (len(pixels), *pixels.shape[2:])
            assert (logits.amax(1) - logits.gather(1, labels[:, None])[:, 0]).max() < 1e-4
        else:
            assert_close(found, logits if output == 'logits' else logits.softmax(1))


def test_bands_by_number_are_floats_on_the_scale_of_the_files(tmp_path):
    torch.manual_seed(0)
    vit = enlarge(ViT('32x2x2', img_size=32, patch_size=8, in_channels=4)).eval()
    source = Source(vit, (3, 2, 1, 8), (900.0, 800.0, 700.0, 600.0), (90.0, 80.0, 70.0, 60.0), (32, 32))
    opened = session(export_onnx(source, tmp_path / 'bands.onnx').files[0])
    images = torch.rand(1, 4, 40, 24) * 1500
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (source.mean, source.std))
    with torch.no_grad():
        expected = vit.tokens((images - mean) / std)
    assert_close(opened.run(['patches'], dict(images=images.numpy()))[0], expected[:, 1:])
    assert json.loads(opened.get_modelmeta().custom_metadata_map['bands']) == [3, 2, 1, 8]


def test_what_a_user_may_get_wrong_is_refused_by_the_file(tmp_path):
    opened = session(export_onnx(small_source(), tmp_path / 'vit.onnx').files[0])
    wrong = {
        'colours in [0, 1]': np.random.rand(1, 3, 32, 32).astype(np.float32),
        'channels last': noise(1, 32, 32, 3).numpy(),
        'grey': noise(1, 1, 32, 32).numpy(),
        'no multiple of the patch': noise(1, 3, 35, 32).numpy(),
    }
    for images in wrong.values():
        with pytest.raises(Exception, match='(?i)invalid|mismatch|cannot be reshaped|unexpected'):
            opened.run(None, dict(images=images))


def test_one_size(tmp_path):
    result = export_onnx(small_source(), tmp_path / 'vit.onnx', image_size=(24, 40))
    assert result.notes == ('the file takes images of 24 x 40 only, as image_size says',)
    opened = session(result.files[0])
    assert opened.get_inputs()[0].shape == ['batch', 3, 24, 40]
    assert opened.get_modelmeta().custom_metadata_map['sizes'] == 'one'
    with pytest.raises(Exception, match='(?i)invalid dimensions'):
        opened.run(None, dict(images=noise(1, 3, 32, 40).numpy()))
    for wrong in (25, (24,), 0, (24.0, 40), True):
        with pytest.raises(UserError, match='image_size is one side'):
            export_onnx(small_source(), tmp_path / 'other.onnx', image_size=wrong)


def test_weights_beyond_what_a_file_holds_are_in_a_second_one(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, '_MOST_BYTES', 2**10)
    result = export_onnx(small_source(), tmp_path / 'vit.onnx')
    assert [file.name for file in result.files] == ['vit.onnx', 'vit.onnx.data']
    assert len({file.stat().st_mode for file in result.files}) == 1
    assert {path.name for path in tmp_path.iterdir()} == {'vit.onnx', 'vit.onnx.data'}
    session(tmp_path / 'vit.onnx').run(None, dict(images=noise(1, 3, 32, 32).numpy()))


class Halved(ViT):
    """Its patches depend on a number of Python's, which a trace takes for a constant."""

    def tokens(self, images, keep=None, mask_token=None):
        return super().tokens(images) * (0.5 if int(images.shape[2]) > 32 else 1)


class Failing(ViT):
    """An operation that ONNX does not have."""

    def tokens(self, images, keep=None, mask_token=None):
        return super().tokens(images) * torch.linalg.matrix_exp(images[0, 0, :2, :2]).sum()


@pytest.mark.parametrize(
    'kind, words',
    [(Halved, 'onnxruntime differs by .* for images of .*, more than 1e-04'), (Failing, 'cannot be written as ONNX: ')],
)
def test_a_model_that_cannot_be_exported_is_one_line_and_leaves_nothing(kind, words, tmp_path):
    torch.manual_seed(0)
    source = Source(kind('32x2x2', img_size=32, patch_size=8).eval(), **RGB, img_size=(32, 32), name='mine')
    (tmp_path / 'vit.onnx').write_text('an older file')
    with pytest.raises(UserError, match=f'^mine {words}|^mine cannot be exported to ONNX: {words}') as caught:
        export_onnx(source, tmp_path / 'vit.onnx')
    assert '\n' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['vit.onnx']
    assert (tmp_path / 'vit.onnx').read_text() == 'an older file'


def test_nan_is_a_difference(tmp_path):
    source = small_source()
    with torch.no_grad():
        source.vit.cls_token.fill_(float('nan'))
    with pytest.raises(UserError, match='differs by nan'):
        export_onnx(source, tmp_path / 'vit.onnx')


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(results, 'find_spec', lambda name: None if name == 'onnxruntime' else True)
    with pytest.raises(UserError, match=r"needs onnxruntime, which is not installed: pip install 'mae_transfer\[exp"):
        export_onnx(small_source(), tmp_path / 'vit.onnx')


@pytest.mark.parametrize(
    'out, output, words',
    [
        ('vit.pt', None, r'must end in \.onnx'),
        ('.', None, 'is a folder'),
        ('vit.onnx', 'logits', "is a ViT alone, which gives its features: leave out output='logits'"),
        ('vit.onnx', 'boxes', "output is one of logits, probabilities, labels; found 'boxes'"),
    ],
)
def test_bad_inputs(out, output, words, tmp_path):
    with pytest.raises(UserError, match=words):
        export_onnx(small_source(), tmp_path / out, output)


def test_the_file_is_valid_onnx(tmp_path):
    model = onnx.load(export_onnx(small_source(), tmp_path / 'vit.onnx').files[0])
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == 'mae_transfer'


def test_pools_are_pytorchs():
    for size in (1, 2, 3, 6, (2, 5)):
        for shape in ((7, 4), (6, 6), (2, 9)):
            x = torch.randn(2, 3, *shape)
            torch.testing.assert_close(TraceablePool(size)(x), nn.AdaptiveAvgPool2d(size)(x))


def test_the_difference_of_labels_is_that_of_their_logits():
    class Labels:
        names = ('labels',)

    logits = torch.tensor([[3.0, 1.0, 2.5]])
    assert checking.difference(Labels(), torch.tensor([0]), logits) == 0
    assert checking.difference(Labels(), torch.tensor([2]), logits) == pytest.approx(0.5 / 3)
    assert checking.difference(Labels(), torch.tensor([[0]]), logits) == float('inf')
