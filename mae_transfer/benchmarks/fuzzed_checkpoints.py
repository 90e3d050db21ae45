"""Read damaged and malicious checkpoint files: no crash, no hang, no more memory than four times the file.

    python -m mae_transfer.benchmarks.fuzzed_checkpoints --cases 100000

The weights of a small ViT are written in each format that is read: torch's zip and its format before 1.6, safetensors,
a pickle of arrays, ``.npz``. Each case changes one of these files: bits, bytes, lengths, its end, repeated parts,
numbers and names in headers. Reading it must give weights or a ``CheckpointError``, within ``--seconds``. Everything of
a case follows from its number, so ``--only N`` runs one again.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import multiprocessing
import pickle
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch

from ..errors import CheckpointError
from ..progress import Progress
from ..vit import ViT
from ..vit.weights.checkpoint import read_weights
from .processes import memory_status

_SUFFIXES = dict(torch='.pth', legacy='.pth', safetensors='.safetensors', pickle='.pkl', npz='.npz')
#: What a case may allocate: this many times the file, and what Python and the allocator take in any case.
_TIMES, _SLACK = 4, 2**20


class Reading(NamedTuple):
    """How the reading of a case ended.

    Args:
        kind: format of the file.
        outcome: 'read', 'refused' or the fault.
        memory: the most that was allocated meanwhile, in bytes.
    """

    kind: str
    outcome: str
    memory: int


def originals() -> dict[str, bytes]:
    """{format: a file with the weights of a small ViT}."""
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in ViT('64x2x2', img_size=32, patch_size=8).state_dict().items()}
    arrays = {name: value.numpy() for name, value in weights.items()}
    files = {name: io.BytesIO() for name in ('torch', 'legacy', 'npz')}
    torch.save(dict(state_dict=weights, meta=dict(epoch=1)), files['torch'])
    torch.save(dict(model=weights), files['legacy'], _use_new_zipfile_serialization=False)
    np.savez(files['npz'], **arrays)
    found = {name: file.getvalue() for name, file in files.items()}
    return dict(found, safetensors=safetensors.torch.save(weights), pickle=pickle.dumps(dict(model=arrays)))


# Changes --------------------------------------------------------------------------------------------------------------


def changed(content: bytes, draws: random.Random) -> bytes:
    """The content of a file after one to three changes."""
    data = bytearray(content)
    for _ in range(draws.choice((1, 1, 1, 2, 3))):
        draws.choice(_CHANGES)(data, draws)
    return bytes(data)


def _place(data: bytearray, draws: random.Random) -> int:
    """A place in the file; every other one near its ends, where the headers are."""
    end = min(len(data), 4096)
    return draws.choice(
        (
            draws.randrange(max(1, len(data))),
            draws.randrange(max(1, end)),
            max(0, len(data) - 1 - draws.randrange(max(1, end))),
        )
    )


def _flip(data: bytearray, draws: random.Random) -> None:
    for _ in range(draws.choice((1, 1, 8, 64))):
        if data:
            data[_place(data, draws)] ^= 1 << draws.randrange(8)


def _overwrite(data: bytearray, draws: random.Random) -> None:
    place = _place(data, draws)
    data[place : place + draws.choice((1, 2, 4, 8, 100))] = draws.randbytes(draws.choice((0, 1, 4, 8, 100)))


def _number(data: bytearray, draws: random.Random) -> None:
    """A length, count or offset of 4 or 8 bytes becomes a special one."""
    value = draws.choice(
        (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1, len(data), len(data) + 1)
    )
    form = draws.choice(('<I', '<Q', '>I', '>Q'))
    place = _place(data, draws)
    data[place : place + struct.calcsize(form)] = struct.pack(form, value % 2 ** (8 * struct.calcsize(form)))


def _cut(data: bytearray, draws: random.Random) -> None:
    del data[_place(data, draws) :]


def _repeat(data: bytearray, draws: random.Random) -> None:
    place, length = _place(data, draws), draws.choice((1, 8, 64, 4096))
    data[place:place] = bytes(data[place : place + length]) * draws.choice((1, 2, 50))


def _remove(data: bytearray, draws: random.Random) -> None:
    place = _place(data, draws)
    del data[place : place + draws.choice((1, 4, 8, 64, 4096))]


#: Texts in headers and pickles, and what they become.
_WORDS = (
    (b'F32', b'F64'),
    (b'F32', b'I8'),
    (b'F32', b'BOOL'),
    (b'F32', b'XXX'),
    (b'"shape":[', b'"shape":[-1,'),
    (b'"shape":[', b'"shape":[99999999999,'),
    (b'data_offsets":[', b'data_offsets":[9'),
    (b'blocks.0', b'blocks.999999999'),
    (b'blocks.1', b'../../x.1'),
    (b'FloatStorage', b'DoubleStorage'),
    (b'FloatStorage', b'os\nsystem\n  '),
    (b'_rebuild_tensor_v2', b'_rebuild_parameter '),
    (b'collections', b'subprocess '),
    (b'OrderedDict', b'Popen      '),
    (b'<f4', b'<f8'),
    (b'<f4', b'|O '),
    (b"'shape': (", b"'shape': (9"),
    (b'qkv', b'q\x00v'),
    (b'weight', b'weigh\xff'),
    (b'data.pkl', b'data.px1'),
    (b'norm', b'/etc'),
    (b'pos_embed', b'cls_token'),
    (b'version', b'versiom'),
)


def _word(data: bytearray, draws: random.Random) -> None:
    """A name, type or shape in a header becomes another one."""
    old, new = draws.choice(_WORDS)
    if count := data.count(old):
        place = -1
        for _ in range(draws.randrange(count) + 1):
            place = data.find(old, place + 1)
        data[place : place + len(old)] = new


_CHANGES = (_flip, _flip, _overwrite, _number, _number, _cut, _repeat, _remove, _word, _word, _word)


# Reading --------------------------------------------------------------------------------------------------------------


def case(number: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """The format and the content of a case."""
    draws = random.Random(number)
    kind = draws.choice(sorted(files))
    return kind, changed(files[kind], draws)


def read_case(number: int, files: dict[str, bytes], folder: Path) -> Reading:
    """Read a case."""
    kind, content = case(number, files)
    path = folder / f'case{_SUFFIXES[kind]}'
    path.write_bytes(content)
    before = _forget_peak()
    try:
        read_weights(path)
        outcome = 'read'
    except CheckpointError as error:
        outcome = 'refused' if '\n' not in str(error).strip() else 'message of several lines'
    except BaseException as error:
        outcome = f'{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ""}'
    if (memory := memory_status()['VmHWM'] - before) > _TIMES * len(content) + _SLACK:
        outcome = f'{memory / 2**20:.1f} MB for a file of {len(content) / 2**20:.1f}'
    return Reading(kind, outcome, memory)


def _forget_peak() -> int:
    """Count the peak of the memory from now on; returns what is taken now, in bytes."""
    ctypes.CDLL(None).malloc_trim(0)  # what is free is given back, or it would hide what a case takes
    Path('/proc/self/clear_refs').write_text('5')
    return memory_status()['VmRSS']


def _work(first: int, step: int, cases: int, at: Any, results: Any) -> None:
    """Read every ``step``-th case; ``at`` is the number of the one that is being read."""
    torch.set_num_threads(1)
    files, counts, most = originals(), Counter[tuple[str, str]](), dict.fromkeys(_SUFFIXES, 0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-200, 0):  # what is imported when it is first needed is not of a case
            read_case(number, files, Path(folder))
        for number in range(first, cases, step):
            at.value = number
            kind, outcome, memory = read_case(number, files, Path(folder))
            counts[kind, outcome if outcome in ('read', 'refused') else 'fault'] += 1
            most[kind] = max(most[kind], memory)
            if outcome not in ('read', 'refused'):
                results.put(f'case {number} ({kind}): {outcome}')
    results.put((counts, most))


class _Worker:
    """A process that reads cases, and is started again behind one that it did not survive."""

    def __init__(self, first: int, step: int, cases: int, results: Any):
        self._arguments = (step, cases)
        self._results, self._begin = results, first
        self._start(first)

    def _start(self, first: int) -> None:
        context = multiprocessing.get_context('spawn')
        self._at = context.Value('q', first)
        self._process = context.Process(target=_work, args=(first, *self._arguments, self._at, self._results))
        self._process.start()
        self._last, self._deadline = first, time.monotonic() + 60  # of which it needs some to import

    def look(self, seconds: float) -> str | None:
        """A line for a case that hangs or ended the process, behind which it goes on; None if all is well."""
        number = self._at.value
        if number != self._last:
            self._last, self._deadline = number, time.monotonic() + seconds
        if self._process.is_alive() and time.monotonic() > self._deadline:
            self._process.kill()
            self._process.join()
            fault = f'not read after {seconds:g} seconds'
        elif not self._process.is_alive() and self._process.exitcode:
            fault = f'the process ended with {self._process.exitcode}'
        else:
            return None
        self._start(number + self._arguments[0])
        return f'case {number}: {fault}'

    @property
    def done(self) -> int:
        """How many cases it has left behind it."""
        return (self._at.value - self._begin) // self._arguments[0]

    def has_ended(self) -> bool:
        """Whether all cases are read."""
        return not self._process.is_alive() and not self._process.exitcode


def run(cases: int, jobs: int, seconds: float) -> tuple[Counter[tuple[str, str]], dict[str, int], list[str]]:
    """Read all cases in several processes.

    Returns:
        How many of each format were read, refused or at fault; the most memory that one of each took, in bytes; a line
        for each fault.
    """
    results = multiprocessing.get_context('spawn').Queue()
    workers = [_Worker(job, jobs, cases, results) for job in range(jobs)]
    counts, faults, ended = Counter[tuple[str, str]](), [], False
    most = dict.fromkeys(_SUFFIXES, 0)
    with Progress('cases read', cases) as told:
        while not ended:
            ended = all(worker.has_ended() for worker in workers)
            faults += [line for worker in workers if (line := worker.look(seconds))]
            while not results.empty():
                found = results.get()
                if isinstance(found, str):
                    faults.append(found)
                else:
                    counts += found[0]
                    most = {kind: max(most[kind], found[1][kind]) for kind in most}
            told(cases if ended else sum(worker.done for worker in workers))
            time.sleep(0.02)
    return counts, most, faults


def main() -> int:
    """The command line; returns 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cases', type=int, default=100_000, help='default %(default)s')
    parser.add_argument('--jobs', type=int, default=2, help='processes; default %(default)s')
    parser.add_argument('--seconds', type=float, default=10, help='most for a case; default %(default)s')
    parser.add_argument('--only', type=int, metavar='N', help='read case N alone')
    args = parser.parse_args()
    if args.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(read_case(args.only, originals(), Path(folder)))
        return 0
    began = time.monotonic()
    counts, most, faults = run(args.cases, args.jobs, args.seconds)
    sizes = {kind: len(content) for kind, content in originals().items()}
    print('| format | file, kB | read | refused | at fault | largest memory, kB |\n|---|---|---|---|---|---|')
    for kind in _SUFFIXES:
        cells = [counts[kind, outcome] for outcome in ('read', 'refused', 'fault')]
        print(f'| {kind} | {sizes[kind] // 1000} | {" | ".join(map(str, cells))} | {most[kind] // 1000} |')
    print(f'{args.cases} cases in {time.monotonic() - began:.0f} s, {len(faults)} faults')
    for line in faults[:50]:
        print(line)
    return int(bool(faults))


if __name__ == '__main__':
    sys.exit(main())
