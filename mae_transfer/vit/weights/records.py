"""Pickles read as data: tensors, arrays and plain records become themselves, everything else a
:class:`~mae_transfer.vit.weights.stand_ins.StandIn`.

No module is imported and no function of a file's choice is called. What is called is on one list: PyTorch's own of what
weights-only files need, and the plain records of numpy, argparse and MMEngine.
"""

from __future__ import annotations

import argparse
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# PyTorch's list has no public name; `weights_only=True` goes by it.
from torch._weights_only_unpickler import _get_allowed_globals

from .bounded_file import BoundedFile
from .stand_ins import StandIn, WouldRun

#: A file that calls something of these is none that was saved by accident: it is refused, not read around. What is safe
#: does not depend on this list, since nothing but :func:`_callables` is ever called.
_SYSTEM = frozenset(
    'builtins ctypes importlib io multiprocessing nt os pickle posix pty runpy shutil socket subprocess sys tempfile '
    'webbrowser _io _posixsubprocess _pickle'.split()
)
#: Types of ``builtins`` that records are made of, and that need no arguments of a file's choice to be understood.
_PLAIN = (
    *('object', 'type', 'slice', 'range', 'int', 'float', 'str', 'bool', 'bytes', 'list', 'tuple', 'dict'),
    *('xrange', 'unicode', 'long'),  # of Python 2, whose names protocol 2 has
)
_RENAMED = {'__builtin__': 'builtins', 'copy_reg': 'copyreg', 'exceptions': 'builtins'}  # by Python 3


def _attribute(owner: Any, name: str) -> Any:
    """Replaces ``getattr``, which MMEngine's files call to store the four statistics methods of history buffers."""
    if isinstance(owner, StandIn):
        return StandIn(f'{owner.name}.{name}')
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise WouldRun(f'getattr:{getattr(owner, "__name__", type(owner).__name__)}.{name}')
    return getattr(owner, name)


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    """Replaces ``_codecs.encode``, which pickles of protocol 2 call for bytes, and which imports what it is told to."""
    if encoding not in ('latin1', 'latin-1', 'utf-8'):
        raise WouldRun(f'_codecs.encode:{encoding}')
    return text.encode(encoding)


def _default_dict(factory: Any = None, items: Any = ()) -> dict:
    """Replaces ``collections.defaultdict``, whose factory would be called by whoever reads it."""
    return dict(items)


def _reconstruct_object(cls: Any, base: Any = None, state: Any = None) -> Any:
    """Replaces ``copyreg._reconstructor``, which makes the objects of pickles of the first protocols."""
    if isinstance(cls, type) and _may_be_called(cls):
        made: Any = cls
        return made.__new__(made)
    if not isinstance(cls, StandIn):
        raise WouldRun(f'copyreg._reconstructor:{getattr(cls, "__name__", cls)}')
    made = StandIn(cls.name)
    if isinstance(state, dict):  # the items of a class that is like a dictionary
        made.entries.update(state)
    return made


def _storage_from_bytes(content: Any) -> Any:
    """Replaces ``torch.storage._load_from_bytes``, of tensors that ``pickle.dump`` wrote."""
    if not isinstance(content, bytes) or content.startswith(b'PK'):
        raise WouldRun('torch.storage._load_from_bytes')
    return torch.load(BytesIO(content), map_location='cpu', pickle_module=RECORDS, weights_only=False)


def _in_byte_order(dtype: np.dtype, state: Any) -> np.dtype:
    """Replaces ``numpy.dtype.__setstate__``, which believes a file that numbers are objects.

    Args:
        state: version, byte order, and what only types of several parts have.
    """
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise pickle.UnpicklingError('a type of numpy that is made of others')
    if state[1] not in ('<', '>', '=', '|'):
        raise pickle.UnpicklingError(f'a byte order {state[1]!r}')
    return dtype if state[1] == '|' else dtype.newbyteorder(state[1])


@cache
def record_types() -> dict[str, Any]:
    """What is called while a file is read beside what PyTorch calls itself, by its name there."""
    # The functions that numpy's pickles call, in the modules that had them before and since numpy 2.
    array = np.zeros(1)
    reconstruct, from_buffer = array.__reduce__()[0], array.__reduce_ex__(5)[0]
    found: dict[str, Any] = {'numpy.ndarray': np.ndarray, 'numpy.dtype': np.dtype}
    for core in ('numpy.core', 'numpy._core'):
        found[f'{core}.multiarray._reconstruct'] = reconstruct
        found[f'{core}.multiarray.scalar'] = np.float64(0).__reduce__()[0]
        found[f'{core}.numeric._frombuffer'] = from_buffer
    for number_type in (type(np.dtype(code)) for code in '?bhilqBHILQefdFDU'):
        found[f'{number_type.__module__}.{number_type.__qualname__}'] = number_type
    return found | {
        '_codecs.encode': _encode,
        'argparse.Namespace': argparse.Namespace,
        'builtins.frozenset': frozenset,
        'builtins.getattr': _attribute,
        'collections.defaultdict': _default_dict,
        'copyreg._reconstructor': _reconstruct_object,
        'torch.storage._load_from_bytes': _storage_from_bytes,
        f'{HistoryBuffer.__module__}.HistoryBuffer': HistoryBuffer,
    }


@cache
def _callables() -> dict[str, Any]:
    """Everything that is called while a file is read, by its name there."""
    return {**_get_allowed_globals(), **record_types()}


def _call(function: Any, args: Any) -> Any:
    """What calling ``function`` gives, if it may be called; otherwise a stand-in for the result."""
    args = tuple(args)
    if isinstance(function, StandIn):
        module, _, name = function.name.partition('.')
        if module in _SYSTEM and not (module == 'builtins' and name in _PLAIN):
            raise WouldRun(function.name.removeprefix('builtins.'))
        return StandIn(function.name, args)
    if not _may_be_called(function):
        raise WouldRun(getattr(function, '__name__', type(function).__name__))
    if function in (_attribute, _default_dict, _reconstruct_object):
        return function(*args)
    return _unknown_among(args) or function(*args)


def _unknown_among(args: tuple) -> StandIn | None:
    """A stand-in for what would be made of arguments, if one of them is a stand-in."""
    unknown = next((arg for arg in args if isinstance(arg, StandIn)), None)
    return unknown and StandIn(unknown.name, args)


def _may_be_called(function: Any) -> bool:
    """Whether it is one of :func:`_callables`; by identity, since a file has a say in what is equal."""
    return id(function) in _callable_ids()


@cache
def _callable_ids() -> frozenset[int]:
    return frozenset(map(id, _callables().values()))


# The unpickler in C looks up methods of what it meets, which a file may choose; the one in Python has a method for each
# instruction, and those below are all that call or change anything. It has no public name.
_InPython: Any = pickle._Unpickler  # type: ignore[attr-defined]


class RecordUnpickler(_InPython):
    """``pickle.Unpickler`` that calls nothing but :func:`_callables`; also the base of PyTorch's (``torch.load``)."""

    dispatch = dict(_InPython.dispatch)

    def __init__(self, file: BinaryIO, **options: Any):
        super().__init__(BoundedFile(file), **options)

    def find_class(self, module: str, name: str) -> Any:
        """What a name in a file stands for; nothing is imported."""
        full = f'{_RENAMED.get(module, module)}.{name}'
        known = _callables().get(full)
        return StandIn(full) if known is None else known

    def get_extension(self, code: int) -> None:
        """Raise: the names would come from a table of this process."""
        raise pickle.UnpicklingError(f'extension {code} of pickle')

    def _instantiate(self, klass: Any, args: Any) -> None:  # also of the instructions INST and OBJ
        self.append(_call(klass, args))

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], args)

    def load_newobj(self) -> None:
        args, cls = self.stack.pop(), self.stack.pop()
        self.append(self._new(cls, args))

    def load_newobj_ex(self) -> None:
        keywords, args, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        if not isinstance(cls, StandIn) and keywords:
            raise WouldRun(getattr(cls, '__name__', type(cls).__name__))
        self.append(self._new(cls, args))

    @staticmethod
    def _new(cls: Any, args: Any) -> Any:
        args = tuple(args)
        if isinstance(cls, StandIn):
            return _call(cls, args)
        if not isinstance(cls, type) or not _may_be_called(cls):
            raise WouldRun(getattr(cls, '__name__', type(cls).__name__))
        return _unknown_among(args) or cls.__new__(cls, *args)

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, StandIn):
            made.state = state
        elif type(made) is torch.Tensor:  # as files of the first versions of PyTorch have it
            made.set_(*state)  # type: ignore[call-overload]
        elif isinstance(made, np.dtype):
            self._replace(made, _in_byte_order(made, state))
        elif isinstance(made, type) or not _may_be_called(type(made)):
            raise WouldRun(f'{type(made).__name__}.__setstate__')
        elif hasattr(made, '__setstate__'):
            made.__setstate__(state)
        else:
            vars(made).update(state)

    def _replace(self, made: Any, other: Any) -> None:
        """Put another object where the one at the top of the stack is, and is remembered."""
        if other is not made:
            self.stack[-1] = other
            self.memo.update({place: other for place, value in self.memo.items() if value is made})

    def load_append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(values)
        elif not isinstance(target, StandIn):
            raise pickle.UnpicklingError(f'append to a {type(target).__name__}')

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list) -> None:
        target = self.stack[-1]
        if isinstance(target, StandIn):
            target = target.entries
        elif type(target) not in (dict, OrderedDict, Counter):
            raise pickle.UnpicklingError(f'items of a {type(target).__name__}')
        target.update(zip(items[::2], items[1::2]))

    def load_additems(self) -> None:
        values, target = self.pop_mark(), self.stack[-1]
        if type(target) is not set:
            raise pickle.UnpicklingError(f'items of a {type(target).__name__}')
        target.update(values)

    def load_bytearray8(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), 'little'))))

    def load_binpersid(self) -> None:
        saved = self.stack.pop()
        if isinstance(saved, tuple) and saved[:1] == ('module',):  # a whole module with the text of its class
            self.append(saved[1])
        elif isinstance(saved, tuple) and saved[:1] in (('storage',), (b'storage',)):
            self.append(self.persistent_load(saved))
        else:
            raise pickle.UnpicklingError(f'a reference to a {type(saved).__name__}')

    def load_persid(self) -> None:
        raise pickle.UnpicklingError('a reference by text')

    _CHANGED: Mapping[bytes, Callable] = {
        pickle.REDUCE: load_reduce,
        pickle.NEWOBJ: load_newobj,
        pickle.NEWOBJ_EX: load_newobj_ex,
        pickle.BUILD: load_build,
        pickle.APPEND: load_append,
        pickle.APPENDS: load_appends,
        pickle.SETITEM: load_setitem,
        pickle.SETITEMS: load_setitems,
        pickle.ADDITEMS: load_additems,
        pickle.BYTEARRAY8: load_bytearray8,
        pickle.BINPERSID: load_binpersid,
        pickle.PERSID: load_persid,
    }
    dispatch.update({code[0]: method for code, method in _CHANGED.items()})


def _load(file: Any, **options: Any) -> Any:
    return RecordUnpickler(file, **options).load()


#: What ``torch.load(pickle_module=...)`` takes.
RECORDS = SimpleNamespace(__name__='records', Unpickler=RecordUnpickler, load=_load)
