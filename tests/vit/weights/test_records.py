"""Records beside the weights are read without importing or running anything; what is not understood does nothing."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import io
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from torch import nn

from mae_transfer.benchmarks.processes import GB, memory_limit, memory_status
from mae_transfer.errors import CheckpointError
from mae_transfer.vit.weights.checkpoint import load_vit, read_checkpoint
from mae_transfer.vit.weights.records import RecordUnpickler
from mae_transfer.vit.weights.stand_ins import StandIn
from tests.vit.weights.test_checkpoint import copy_of, randomize, small_vit, unchanged

FORMATS = {
    'zip': {},
    'legacy': dict(_use_new_zipfile_serialization=False),
    'protocol 4': dict(pickle_protocol=4),
    'protocol 5': dict(pickle_protocol=5),
}


class Kind(enum.Enum):
    FIRST = 1


@pytest.fixture
def other_project(monkeypatch):
    """A module that is there when a file is written, and not when it is read."""
    module = types.ModuleType('other_project')
    for name, base in dict(Record=object, Settings=dict, Items=list, Error=Exception).items():
        setattr(module, name, type(name, (base,), dict(__module__='other_project')))
    monkeypatch.setitem(sys.modules, 'other_project', module)
    return module


def records(project) -> dict:
    """All kinds of objects that people have beside their weights."""
    record, settings, items = project.Record(), project.Settings(lr=1.0), project.Items([1, 2])
    record.path, record.kind, settings.extra = pathlib.PosixPath('/data/x'), Kind.FIRST, record
    return dict(
        args=argparse.Namespace(output_dir=pathlib.PosixPath('/data/x'), record=record),
        simple=types.SimpleNamespace(lr=1.0),
        queue=collections.deque([1, 2], maxlen=3),
        when=[datetime.datetime(2020, 1, 1), datetime.timedelta(1), datetime.date(2020, 1, 1)],
        default=collections.defaultdict(list, a=[1]),
        config=ConfigDict(model=dict(type='x')),
        settings=settings,
        items=items,
        error=project.Error('x'),
        partial=functools.partial(max, 1),
        method=record.__init__,
        classes=[torch.optim.AdamW, nn.functional.gelu, len],
        random=np.random.RandomState(0).get_state(),
        generator=np.random.default_rng(0),
        plain=[frozenset([1]), range(3), slice(1, 2), 1j, b'x', bytearray(b'x'), Ellipsis],
        module=nn.BatchNorm1d(3),
    )


@pytest.mark.parametrize('format', FORMATS)
def test_the_weights_beside_any_records_are_read(format, other_project, tmp_path, monkeypatch):
    source = randomize(small_vit())
    torch.save(dict(records(other_project), model=source.state_dict()), tmp_path / 'x.pth', **FORMATS[format])
    monkeypatch.delitem(sys.modules, 'other_project')
    before = set(sys.modules)
    stored = read_checkpoint(tmp_path / 'x.pth')
    assert {name for name in set(sys.modules) - before if not name.startswith('encodings.')} == set()
    vit = small_vit()
    load_vit(vit, tmp_path / 'x.pth')
    assert unchanged(vit, source.state_dict())
    assert stored['default'] == dict(a=[1]) and stored['plain'][0] == {1}
    assert isinstance(stored['settings'], StandIn) and stored['settings'].name == 'other_project.Settings'
    assert stored['settings'].entries == dict(lr=1.0)
    assert stored['args'].output_dir.args in [('/data/x',), ('/', 'data', 'x')]


@pytest.mark.parametrize('protocol', range(6))
def test_every_protocol_of_pickle(protocol, other_project):
    """The records alone: the weights of a file of protocol 0 would have another form."""
    content = pickle.dumps(records(other_project), protocol)
    read = RecordUnpickler(io.BytesIO(content)).load()
    assert set(read) == set(records(other_project)) and read['settings'].entries == dict(lr=1.0)


def test_a_whole_model_in_a_file_is_its_weights(tmp_path):
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer('kept', torch.ones(1))
            self.register_buffer('left', torch.ones(1), persistent=False)
            self.register_parameter('none', None)

    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(Norm()))
    globals()['Norm'], Norm.__qualname__ = Norm, 'Norm'
    torch.save(model, tmp_path / 'model.pth')
    torch.save(dict(state_dict=model), tmp_path / 'below.pth')
    read = read_checkpoint(tmp_path / 'model.pth')
    assert set(read) == set(model.state_dict()) == set(read_checkpoint(tmp_path / 'below.pth')['state_dict'])
    assert all(torch.equal(value, read[name]) for name, value in model.state_dict().items())


def test_an_object_alone_is_named(other_project, tmp_path):
    torch.save(other_project.Record(), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='holds an object of other_project.Record; expected a dictionary'):
        read_checkpoint(tmp_path / 'x.pth')


class Wrapped:
    """Is pickled as a function of another project that would make a tensor."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return sys.modules['other_project'].Record, (self.tensor,)


def wrapped_parameter(tensor):
    class Parameter:
        def __reduce__(self):
            return torch._utils._rebuild_parameter, (Wrapped(tensor), True, collections.OrderedDict())

    return Parameter()


@pytest.mark.parametrize('name', ['blocks.1.attn.proj.bias', 'patch_embed.proj.weight', 'pos_embed'])
@pytest.mark.parametrize('how', [Wrapped, wrapped_parameter])
def test_a_weight_that_other_code_would_make_is_an_error(how, name, other_project, tmp_path):
    state = dict(randomize(small_vit()).state_dict())
    state[name] = how(state[name])
    torch.save(state, tmp_path / 'x.pth')
    vit = small_vit()
    before = copy_of(vit)
    with pytest.raises(CheckpointError, match=f"'{name}' is no tensor but an object of other_project.Record") as caught:
        load_vit(vit, tmp_path / 'x.pth')
    assert '\n' not in str(caught.value) and unchanged(vit, before)


def opcodes(text: bytes) -> bytes:
    return pickle.PROTO + b'\x02' + text + pickle.STOP


ATTACKS = {
    'method of a function': opcodes(b'cbuiltins\ngetattr\n(cnumpy\nndarray\nX\x06\x00\x00\x00tofiletR'),
    'old instruction of classes': opcodes(b'(X\x01\x00\x00\x00xios\nsystem\n'),
    'object with arguments': opcodes(b'(cos\nsystem\nX\x01\x00\x00\x00xo'),
    'new object': opcodes(b'cos\nsystem\n(X\x01\x00\x00\x00xt\x81'),
    'name with dots': pickle.PROTO + b'\x04\x8c\x08builtins\x8c\x10getattr.__self__\x93)R.',
    'exec in a submodule': opcodes(b'cposix\nexecv\n)R'),
    'subprocess': opcodes(b'csubprocess\nPopen\n)R'),
    'nested pickle': opcodes(b'cpickle\nloads\n(C\x01.tR'),
    'torch.load in disguise': opcodes(b'ctorch.storage\n_load_from_bytes\n(X\x01\x00\x00\x00xtR'),
    'codec': opcodes(b'c_codecs\nencode\n(X\x01\x00\x00\x00xX\x04\x00\x00\x00idnatR'),
    'extension': opcodes(b'\x82\x01'),
    'reference': opcodes(b'X\x01\x00\x00\x00xQ'),
    'call of an instance': opcodes(b'ccollections\nOrderedDict\n)R)R'),
}


@pytest.mark.parametrize('attack', ATTACKS)
def test_instructions_that_would_run_something_are_refused(attack, tmp_path):
    (tmp_path / 'x.pkl').write_bytes(ATTACKS[attack])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / 'x.pkl')
    assert '\n' not in str(caught.value)
    assert 'would run' in str(caught.value) or attack in ('extension', 'reference')


def test_functions_of_other_modules_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / 'imported.py').write_text(f'open({str(tmp_path / "marker")!r}, "w")\ndef run(): raise SystemExit')
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'x.pkl').write_bytes(opcodes(b'}X\x01\x00\x00\x00acimported\nrun\n)Rs'))
    assert read_checkpoint(tmp_path / 'x.pkl')['a'].name == 'imported.run'
    assert not (tmp_path / 'marker').exists() and 'imported' not in sys.modules


def test_a_file_cannot_change_a_class_of_this_process(tmp_path):
    """The second half of a state sets attributes; of a class it would change every object."""
    state = pickle.dumps((None, dict(broken=1)), 2)[2:-1]
    (tmp_path / 'x.pkl').write_bytes(opcodes(b'cargparse\nNamespace\n' + state + b'b'))
    with pytest.raises(CheckpointError, match='would run'):
        read_checkpoint(tmp_path / 'x.pkl')
    assert not hasattr(argparse.Namespace, 'broken')


def test_where_torch_is_told_to_take_no_other_reader(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    record = dict(args=argparse.Namespace(lr=1.0), array=np.arange(3), history=HistoryBuffer([0.5], [1]))
    torch.save(dict(record, model=small_vit().state_dict()), tmp_path / 'x.pth')
    load_vit(small_vit(), tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth')['history'].current() == 0.5


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('kind', ['f4', '>f4', '<f8', '>i2', '?', 'U5', '>U5', 'S7'])
def test_arrays_of_every_byte_order_are_read(kind, protocol):
    array = np.arange(6).astype(kind).reshape(2, 3)
    stored = dict(array=array, again=array[0], number=array[1, 2], type=array.dtype)
    found = RecordUnpickler(io.BytesIO(pickle.dumps(stored, protocol))).load()
    assert found['type'] == array.dtype and found['number'] == array[1, 2]
    assert np.array_equal(found['array'], array) and np.array_equal(found['again'], array[0])


@pytest.mark.parametrize(
    'state',
    [
        (3, '<', None, None, None, -1, -1, 63),  # flags: the numbers are objects
        (3, '<', ('O', (2,)), None, None, -1, -1, 0),
        (3, 'x', None, None, None, -1, -1, 0),
        (3, '<'),
        None,
    ],
)
def test_a_file_has_no_say_in_what_a_type_of_numpy_is(state):
    """``numpy.dtype.__setstate__`` believes it; arrays of such numbers then harm the process when they are freed."""

    class Type:
        def __reduce__(self):
            return np.dtype, ('f4', False, True), state or (3, '|', 'x', None, None)

    try:
        found = RecordUnpickler(io.BytesIO(pickle.dumps(Type()))).load()
    except pickle.UnpicklingError as error:
        assert 'type of numpy' in str(error) or 'byte order' in str(error)
    else:
        assert found == np.dtype('f4') and not found.hasobject


@pytest.mark.parametrize('head', [b'\x80\x04\x95', b'\x80\x05\x96', b'\x80\x04\x8e', b'\x80\x04\x8d'])
@pytest.mark.parametrize('length', [2**31, 2**40, 2**62])
def test_no_memory_is_taken_for_a_length_that_a_file_only_states(head, length):
    """Instructions FRAME, BYTEARRAY8, BINBYTES8 and BINUNICODE8."""
    content = head + length.to_bytes(8, 'little') + b'abc.'
    with memory_limit(memory_status()['VmRSS'] / GB + 0.2):
        with pytest.raises((pickle.UnpicklingError, EOFError, IndexError)):
            RecordUnpickler(io.BytesIO(content)).load()
