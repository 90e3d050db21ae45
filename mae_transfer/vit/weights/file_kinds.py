"""What a file of weights is, told by its first bytes: its name says little, ``.bin`` and ``.pth`` are anything."""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zipfile
import zlib
from typing import BinaryIO

import torch

from ...errors import CheckpointError
from ...first_bytes import text_file

#: Kinds that are read. 'torch' is what ``torch.save`` writes, 'pickle' what ``pickle.dump`` writes.
READ = ('safetensors', 'torch', 'pickle', 'npz', 'index')

_SAVE = 'save its weights alone, as torch.save(model.state_dict(), FILE), where it was made'
_STARTS = (
    (rb'\x89HDF\r\n', f'an HDF5 file, as Keras writes (.h5): load it in Keras and {_SAVE}'),
    (rb'GGUF', 'a GGUF file of llama.cpp, which holds quantized weights: take the original weights'),
    (rb'....TFL3', 'a TensorFlow Lite model: take the original weights'),
    (rb'....ET\d\d', f'an ExecuTorch program: {_SAVE}'),
    (rb'\x93NUMPY', 'one NumPy array, without names: save the weights by name, as numpy.savez(FILE, **weights)'),
    (rb'\x08[\x03-\x14][\x12\x3a\x42]', f'an ONNX model: {_SAVE}'),
    (rb'\x0a[\x08-\xff][\x01-\x7f]?\x0a[\x01-\x40][A-Za-z_]|\x08\x01\x12', f'a TensorFlow graph: {_SAVE}'),
    (rb'[\x81-\x8f\xde\xdf][\x00-\xbf]{0,4}[a-z_]', 'a msgpack file, as Flax writes: take the PyTorch weights'),
    (rb'\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!', 'a packed file: unpack it first'),
)
_LEGACY = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'  # the pickled number that torch.save wrote first, until 1.6


def kind_of(file: BinaryIO, size: int) -> str:
    """Which of :data:`READ` a file is; '' where that cannot be told, as of a damaged file.

    Args:
        file: open at its begin, where it is left.
        size: in bytes.

    Raises:
        CheckpointError: it is something else, which is named, with what to do.
    """
    start = file.read(512)
    file.seek(0)
    if text := text_file(start[:64], 'the weights'):
        raise CheckpointError(f'is {text}; it is no checkpoint')
    if start.startswith(b'PK\x03\x04'):
        return _kind_of_zip(file)
    if start[8:9] == b'{' and 2 <= int.from_bytes(start[:8], 'little') <= size - 8:
        return 'safetensors'
    if start.startswith(b'{') and b'"weight_map"' in file.read(1 << 20):
        file.seek(0)
        return 'index'
    file.seek(0)
    if start[:1] == b'\x80' and start[1:2] in (b'\x02', b'\x03', b'\x04', b'\x05'):
        if tarfile.is_tarfile(_Window(file)):
            raise CheckpointError('is a tar archive: unpack it first')
        file.seek(0)
        return 'torch' if _LEGACY[3:13] in start[:40] else 'pickle'
    if start[257:262] == b'ustar':
        raise CheckpointError('is a tar archive: unpack it first')
    for sign, what in _STARTS:
        if re.match(sign, start, re.DOTALL):
            raise CheckpointError(f'is {what}; it is no checkpoint of PyTorch')
    return ''


#: What Python raises for a zip archive that is cut short or damaged.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, NotImplementedError, ValueError)


class _Window(io.BytesIO):
    """The first blocks of a file, for ``tarfile``, which looks no further."""

    def __init__(self, file: BinaryIO):
        super().__init__(file.read(4096))


def _kind_of_zip(file: BinaryIO) -> str:
    try:
        # As torch.load lists them: another reader might see other names in a file that is made to be seen differently.
        names = torch._C.PyTorchFileReader(file).get_all_records()
    except (RuntimeError, OSError, UnicodeDecodeError):  # no zip of PyTorch's; one that is cut short or damaged
        names = None
    file.seek(0)
    if names is None:
        return _kind_of_other_zip(file)
    if 'constants.pkl' in names or any(name.startswith('code/') for name in names):
        raise CheckpointError(
            f'is a TorchScript archive, which is a program: {_SAVE}, with torch.jit.load(...) as the model'
        )
    if 'data.pkl' in names:
        return 'torch'
    return _kind_of_other_zip(file)


def _kind_of_other_zip(file: BinaryIO) -> str:
    try:
        names = zipfile.ZipFile(file).namelist()
    except DAMAGED_ZIP:
        return ''
    finally:
        file.seek(0)
    if names and all(name.endswith('.npy') for name in names):
        return 'npz'
    if any(name.endswith('.weights.h5') for name in names):
        raise CheckpointError(f'is a model of Keras: load it in Keras and {_SAVE}; it is no checkpoint of PyTorch')
    if any(name.endswith(('archive_format', 'exported_program.json', 'models/model.json')) for name in names):
        raise CheckpointError(
            f'is a program of torch.export: {_SAVE}, with torch.export.load(...).module() as the model'
        )
    found = ', '.join(names[:3]) or 'nothing'
    raise CheckpointError(f'is a zip archive of other files ({found}), not a checkpoint: unpack it and name one')
