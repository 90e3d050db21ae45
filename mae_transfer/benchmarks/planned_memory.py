"""Peak memory of real training steps, next to what the planning expects.

    python -m mae_transfer.benchmarks.planned_memory
    python -m mae_transfer.benchmarks.planned_memory --device cuda --batches 32 64 128

A step is the forward and the backward pass of a config's model on random images, and its optimiser's step, under the
config's autocast; the second step counts, as the optimiser has its state then. Each is measured in a new process.

On a GPU the measured peak is PyTorch's, `torch.cuda.max_memory_allocated`. On a CPU it is the growth of the process'
resident memory (Linux's VmHWM) since before the model was built. There glibc would keep freed memory, and move its
limit for what it keeps up to 32 MiB: what is resident would then depend on the history. `mallopt` fixes the limit at
64 KiB, so that larger tensors are returned to the system when they are freed, and what is resident is alive. (A long
run without that keeps more.) A first step of a tiny model loads what the libraries need. Of several steps the mean
would mean nothing: a peak is the same in each.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config

from .. import launch
from ..compat.package_configs import find_config
from ..errors import UserError
from ..experiments.tool_runs import package_file
from ..outputs import output_file
from ..planning.expected_memory import ExpectedMemory
from ..planning.training import Training, build_model
from ..settings import read_config
from .processes import GB, call_with_memory_limit, memory_status, run_in_new_process

#: Config, settings, batches.
Case = tuple[str, tuple[str, ...], tuple[int, ...]]
#: What is measured by default.
CASES: tuple[Case, ...] = (
    ('mae_pretrain_vitb.py', (), (8, 16, 32)),
    ('mae_pretrain_vitb.py', ('model.vit.grad_checkpoint=True',), (8, 16, 32)),
    ('mae_pretrain_vitb.py', ('optim_wrapper.dtype=float32',), (8,)),
    ('mae_pretrain_vitl.py', (), (8, 16, 32)),
    ('in1k_finetune_vitb.py', (), (8, 16, 32)),
    ('ade20k_upernet_vitb.py', ('crop_size=256',), (2, 4, 8)),
)
_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_TINY = ('arch=64x2x2',)


def real_peak(config: str, options: list[str], batch: int, device: str) -> int:
    """Bytes of the second training step of a config at its peak, the weights and all else included."""
    if device == 'cpu':
        libc = ctypes.CDLL(None)
        with contextlib.suppress(AttributeError):  # another C library
            libc.mallopt(_M_MMAP_THRESHOLD, 2**16)
    # The first step of a process also loads code and allocates the libraries' buffers: do not measure that.
    _steps(read_config(config, [*options, *_TINY]), 2, device, 1)
    gc.collect()
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _steps(read_config(config, options), batch, device, 2)
        return torch.cuda.max_memory_allocated() - before
    with contextlib.suppress(AttributeError):
        libc.malloc_trim(0)
    before = memory_status()['VmRSS']
    _steps(read_config(config, options), batch, device, 2)
    return memory_status()['VmHWM'] - before


def _steps(cfg: Config, batch: int, device: str, count: int) -> None:
    training = Training(cfg, build_model(cfg).to(device), batch)
    for number in range(count):
        if number == count - 1 and device == 'cpu':
            # Building the model must not have been the peak; where a reset is not permitted, it is smaller.
            with contextlib.suppress(OSError):
                Path('/proc/self/clear_refs').write_text('5')
        training.forward_and_backward()
        training.wrapper.step()
        training.wrapper.zero_grad()


def measure(config: str, options: list[str], batch: int, device: str) -> dict:
    """Expected and measured GB of a case; ``measured_GB`` is missing where it does not fit."""
    path = str(find_config(config))
    # On the CPU each in a new process: one that has computed with several threads cannot be forked. CUDA allows none.
    run = run_in_new_process if device == 'cpu' else partial(call_with_memory_limit, None)
    expected = run(_expected, path, options, batch, device)
    row = dict(config=Path(config).stem, options=options, batch=batch, expected_GB=expected / GB)
    with contextlib.suppress(MemoryError):
        measured = run(real_peak, path, options, batch, device)
        row.update(measured_GB=measured / GB, ratio=expected / measured)
    return row


def _expected(path: str, options: list[str], batch: int, device: str) -> int:
    return ExpectedMemory(read_config(path, options), device).peak(batch)


def table_row(row: dict) -> str:
    """A row of the table that :data:`HEAD` begins."""
    name = ' '.join([row['config'], *row['options']])
    cells = [name, str(row['batch']), f'{row["expected_GB"]:.2f}']
    cells += [f'{row["measured_GB"]:.2f}', f'{row["ratio"]:.3f}'] if 'ratio' in row else ['does not fit', '']
    return f'| {" | ".join(cells)} |'


HEAD = '| config | images | expected, GB | measured, GB | ratio |\n' + '|---' * 5 + '|'


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', metavar='CONFIG', help='default: a list of cases')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings of these configs')
    parser.add_argument('--batches', nargs='+', type=int, help="images of a step; default each case's own")
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers to FILE')
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: PyTorch finds no GPU; choose --device cpu')
    if args.json:
        args.json = output_file(args.json, '--json')
    cases: list[Case] = [(package_file('configs', config), options, batches) for config, options, batches in CASES]
    if args.configs:
        cases = [(config, (*args.cfg_options,), (8,)) for config in args.configs]
    print(HEAD, flush=True)
    rows = []
    for config, options, batches in cases:
        for batch in args.batches or batches:
            rows.append(measure(config, [*options], batch, args.device))
            print(table_row(rows[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(dict(device=args.device, torch=torch.__version__, rows=rows), indent=1) + '\n')


if __name__ == '__main__':
    launch.run_main(main)
