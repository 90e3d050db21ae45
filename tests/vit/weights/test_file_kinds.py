"""What a file is, is told by its content, whatever its name is; what is no checkpoint is named in one line."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from mae_transfer.errors import CheckpointError
from mae_transfer.vit.weights.checkpoint import find_checkpoint, load_vit, read_checkpoint, read_weights
from tests.vit.weights.test_checkpoint import randomize, small_vit, unchanged


@pytest.fixture(scope='module')
def source():
    return randomize(small_vit())


def arrays(model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def torch_bytes(content, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def npz_bytes(content) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    return buffer.getvalue()


def contiguous(model) -> dict:
    return {name: value.contiguous() for name, value in model.state_dict().items()}


#: What is read: how the bytes of the file are made.
READ = {
    'safetensors': lambda model: save(contiguous(model)),
    'torch': lambda model: torch_bytes(model.state_dict()),
    'torch, legacy': lambda model: torch_bytes(model.state_dict(), _use_new_zipfile_serialization=False),
    'torch, protocol 4': lambda model: torch_bytes(model.state_dict(), pickle_protocol=4),
    'a whole model': lambda model: torch_bytes(model),
    'a whole model, legacy': lambda model: torch_bytes(dict(model=model), _use_new_zipfile_serialization=False),
    'arrays by torch': lambda model: torch_bytes(dict(model=arrays(model))),
    'npz': lambda model: npz_bytes(arrays(model)),
    'detectron2': lambda model: pickle.dumps(dict(model=arrays(model), __author__='x', matching_heuristics=True), 2),
    'pickle, protocol 5': lambda model: pickle.dumps(dict(model=arrays(model)), 5),
    'pickle of tensors': lambda model: pickle.dumps(dict(model.state_dict())),
    'big-endian arrays': lambda model: pickle.dumps({n: v.astype('>f4') for n, v in arrays(model).items()}),
}


@pytest.mark.parametrize('suffix', ['.bin', '.safetensors', ''])
@pytest.mark.parametrize('kind', READ)
def test_files_are_read_whatever_their_name(kind, suffix, source, tmp_path):
    path = tmp_path / f'weights{suffix}'
    path.write_bytes(READ[kind](source))
    vit = small_vit()
    load_vit(vit, path)
    assert unchanged(vit, source.state_dict())


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name in names:
            archive.writestr(name, b'x')
    return buffer.getvalue()


def torchscript() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), buffer)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('\udc80storages'.encode('utf-8', 'surrogateescape').decode('latin1')))
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


#: What is not: the bytes, and what the message says.
NAMED = {
    'pointer': (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'pointer of Git LFS: run git lfs pull'),
    'page': (b'<!DOCTYPE html><html>not found</html>', 'an HTML page, saved in place of the weights'),
    'onnx': (b'\x08\x07\x12\x07pytorch\x1a\x052.1.0', 'an ONNX model: save its weights alone, as torch.save'),
    'keras': (b'\x89HDF\r\n\x1a\n' + bytes(40), 'an HDF5 file, as Keras writes'),
    'keras 3': (zip_of('metadata.json', 'model.weights.h5'), 'a model of Keras'),
    'tflite': (b'\x1c\0\0\0TFL3' + bytes(40), 'a TensorFlow Lite model'),
    'saved model': (b'\x08\x01\x12\xf0\x01' + bytes(20), 'a TensorFlow graph'),
    'frozen graph': (b'\x0a\x2a\x0a\x05input\x12\x0bPlaceholder', 'a TensorFlow graph'),
    'gguf': (b'GGUF\x03\0\0\0', 'a GGUF file of llama.cpp'),
    'flax': (b'\x82\xa6params\x81\xa3cls', 'a msgpack file, as Flax writes'),
    'npy': (npy(), 'one NumPy array, without names'),
    'gzip': (b'\x1f\x8b\x08\0' + bytes(20), 'a packed file: unpack it first'),
    'tar': (tar(), 'a tar archive: unpack it first'),
    'torchscript': (torchscript(), 'a TorchScript archive, which is a program'),
    'torch.export': (zip_of('model/archive_format', 'model/models/model.json'), 'a program of torch.export'),
    'zip': (zip_of('weights/a.pth', 'weights/b.pth'), r'a zip archive of other files \(weights/a.pth, weights/b.pth\)'),
    'text': (b'hello', 'is cut short or is no checkpoint'),
}


@pytest.mark.parametrize('kind', NAMED)
def test_other_files_are_named_in_one_line(kind, tmp_path):
    content, words = NAMED[kind]
    path = tmp_path / 'model.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value) and str(path) in str(caught.value)


def test_an_npz_with_python_objects_is_refused(tmp_path):
    np.savez(tmp_path / 'objects.npz', weights=np.array(dict(a=1), dtype=object))
    with pytest.raises(CheckpointError, match='an .npz with Python objects in it'):
        read_checkpoint(tmp_path / 'objects.npz')


def test_an_archive_of_storages_is_not_unpacked(tmp_path):
    """torch.load would unpack a file that is a tar archive and a pickle, too."""
    content = bytearray(tar())
    content[:2] = b'\x80\x02'
    content[148:156] = b'%06o\0 ' % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    (tmp_path / 'both.pth').write_bytes(content)
    assert tarfile.is_tarfile(tmp_path / 'both.pth')
    with pytest.raises(CheckpointError, match='a tar archive'):
        read_checkpoint(tmp_path / 'both.pth')


# --- in JAX -----------------------------------------------------------------------------------------------------------
def in_jax(model, heads: int = 2) -> dict[str, np.ndarray]:
    """The weights under the names, and with the axes, of google-research/vision_transformer."""
    state, files = arrays(model), {}

    def dense(name, module):
        files[f'{name}/kernel'], files[f'{name}/bias'] = state[f'{module}.weight'].T, state[f'{module}.bias']

    def norm(name, module):
        files[f'{name}/scale'], files[f'{name}/bias'] = state[f'{module}.weight'], state[f'{module}.bias']

    files['cls'], files['Transformer/posembed_input/pos_embedding'] = state['cls_token'], state['pos_embed']
    files['embedding/kernel'] = state['patch_embed.proj.weight'].transpose(2, 3, 1, 0)
    files['embedding/bias'] = state['patch_embed.proj.bias']
    norm('Transformer/encoder_norm', 'norm')
    for i in range(2):
        block = f'Transformer/encoderblock_{i}'
        norm(f'{block}/LayerNorm_0', f'blocks.{i}.norm1')
        norm(f'{block}/LayerNorm_2', f'blocks.{i}.norm2')
        dense(f'{block}/MlpBlock_3/Dense_0', f'blocks.{i}.mlp.fc1')
        dense(f'{block}/MlpBlock_3/Dense_1', f'blocks.{i}.mlp.fc2')
        attention = f'{block}/MultiHeadDotProductAttention_1'
        parts = zip(
            state[f'blocks.{i}.attn.qkv.weight'].reshape(3, 32, 32), state[f'blocks.{i}.attn.qkv.bias'].reshape(3, 32)
        )
        for part, (weight, bias) in zip(('query', 'key', 'value'), parts):
            files[f'{attention}/{part}/kernel'] = weight.T.reshape(32, heads, 16)
            files[f'{attention}/{part}/bias'] = bias.reshape(heads, 16)
        files[f'{attention}/out/kernel'] = state[f'blocks.{i}.attn.proj.weight'].T.reshape(heads, 16, 32)
        files[f'{attention}/out/bias'] = state[f'blocks.{i}.attn.proj.bias']
    return files


@pytest.mark.parametrize('prefix', ['', 'opt/target/', 'params/'])
def test_official_weights_of_jax(prefix, source, tmp_path):
    files = in_jax(source) | {'head/kernel': np.ones((32, 5), 'f4'), 'head/bias': np.zeros(5, 'f4')}
    np.savez(tmp_path / 'vit.npz', **{prefix + name: value for name, value in files.items()})
    vit = small_vit()
    report = load_vit(vit, tmp_path / 'vit.npz')
    assert unchanged(vit, source.state_dict())
    assert report.unexpected == ['head.weight', 'head.bias'] and 'names of JAX' in str(report)


def test_timm_reads_the_same_of_jax(source, tmp_path):
    from timm.models.vision_transformer import VisionTransformer

    np.savez(tmp_path / 'vit.npz', **in_jax(source))
    theirs = VisionTransformer(img_size=32, patch_size=8, num_classes=0, embed_dim=32, depth=2, num_heads=2)
    theirs.load_pretrained(str(tmp_path / 'vit.npz'))
    encoder = read_weights(tmp_path / 'vit.npz').encoder
    assert all(torch.equal(value, encoder[name]) for name, value in theirs.state_dict().items())


def test_blocks_of_big_vision_are_named(source, tmp_path):
    files = in_jax(source)
    files['Transformer/encoderblock/LayerNorm_0/scale'] = files.pop('Transformer/encoderblock_0/LayerNorm_0/scale')
    np.savez(tmp_path / 'vit.npz', **files)
    with pytest.raises(CheckpointError, match='of a ViT in JAX, but not named as'):
        read_weights(tmp_path / 'vit.npz')


# --- folders ----------------------------------------------------------------------------------------------------------
def test_a_model_in_several_files(source, tmp_path):
    names = list(source.state_dict())
    parts = {'model-1.safetensors': names[:10], 'model-2.safetensors': names[10:]}
    for part, own in parts.items():
        save_file({name: source.state_dict()[name].contiguous() for name in own}, tmp_path / part)
    index = tmp_path / 'model.safetensors.index.json'
    index.write_text(json.dumps(dict(metadata={}, weight_map={n: part for part, own in parts.items() for n in own})))
    assert find_checkpoint(tmp_path) == index
    for path in (tmp_path, index):
        vit = small_vit()
        load_vit(vit, path)
        assert unchanged(vit, source.state_dict())
    (tmp_path / 'model-2.safetensors').unlink()
    with pytest.raises(CheckpointError, match='names 2 files, of which 1 are not beside it: model-2.safetensors'):
        load_vit(small_vit(), tmp_path)


def test_folders_of_deepspeed(source, tmp_path):
    step = tmp_path / 'global_step20'
    step.mkdir()
    (tmp_path / 'latest').write_text('global_step20')
    torch.save(dict(module=source.state_dict(), ds_version='0.9'), step / 'mp_rank_00_model_states.pt')
    torch.save({}, step / 'zero_pp_rank_0_mp_rank_00_optim_states.pt')
    for path in (tmp_path, step):
        vit = small_vit()
        load_vit(vit, path)
        assert unchanged(vit, source.state_dict())
    torch.save({}, step / 'mp_rank_01_model_states.pt')
    with pytest.raises(CheckpointError, match='split over 2 files of DeepSpeed .* zero_to_fp32.py'):
        find_checkpoint(tmp_path)
    (tmp_path / 'latest').write_text('global_step30')
    with pytest.raises(CheckpointError, match="names 'global_step30', which is not in"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize('place', ['last.ckpt', 'checkpoints/last.ckpt'])
def test_folders_of_lightning(place, source, tmp_path):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).with_name('epoch=3.ckpt').touch()
    torch.save(dict(state_dict={f'model.{n}': v for n, v in source.state_dict().items()}), tmp_path / place)
    assert find_checkpoint(tmp_path) == tmp_path / place
    load_vit(small_vit(), tmp_path)


@pytest.mark.parametrize(
    'files, words',
    [
        (['epoch=3.ckpt', 'hparams.yaml'], "name one of its files, e.g. 'epoch=3.ckpt'"),
        (['checkpoints/a.ckpt', 'checkpoints/b.ckpt'], "name one of those below it, e.g. 'checkpoints/b.ckpt'"),
        (['run1/last_checkpoint'], "name one of those below it, e.g. 'run1/last_checkpoint'"),
        (['model.ckpt-10.index', 'model.ckpt-10.data-00000-of-00001'], "a checkpoint of TensorFlow .'model.ckpt-10'"),
        (['saved_model.pb', 'variables/x'], 'a SavedModel of TensorFlow'),
        (['__0_0.distcp', '.metadata'], 'a distributed checkpoint'),
        (['notes.txt', 'plots/a.png'], 'it holds no checkpoints, but notes.txt, plots/'),
        ([], 'it is empty'),
    ],
)
def test_what_is_in_another_folder_is_named(files, words, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=words) as caught:
        find_checkpoint(tmp_path)
    assert '\n' not in str(caught.value)
