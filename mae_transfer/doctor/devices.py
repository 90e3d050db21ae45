"""What computes: GPUs and their driver, threads of the CPU, native operators, a compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

from .finding import Finding, reason

TOPIC = 'devices'
_GB = 1e9
_CHOOSE = 'choose the command for this driver on pytorch.org/get-started/locally, for torch and torchvision together'


def gpus() -> Iterator[Finding]:
    """The GPUs, or why there are none."""
    import torch

    driver, built_for = driver_and_its_cuda(), torch.version.cuda
    if torch.cuda.is_available():
        told = f'driver {driver[0]}, for CUDA up to {driver[1]}' if driver else 'driver unknown'
        yield Finding(TOPIC, 'CUDA', 'ok', f'torch is built for {built_for}; {told}')
        for number in range(torch.cuda.device_count()):
            yield _gpu(number)
    elif torch.backends.mps.is_available():
        yield Finding(TOPIC, 'GPU', 'wrong', "Apple's", 'MPS is not used by this package: it computes on the CPU')
    elif driver is None:
        yield Finding(TOPIC, 'GPU', 'ok', f'none: {_threads()} compute; enough to try things, slow for a training')
    elif built_for is None:
        found = f'torch {torch.__version__} is built without CUDA, and there is a driver, {driver[0]}'
        yield Finding(TOPIC, 'GPU', 'wrong', found, _CHOOSE)
    else:
        found = f'torch finds none, is built for CUDA {built_for}, and the driver {driver[0]} has CUDA {driver[1]}'
        visible = os.environ.get('CUDA_VISIBLE_DEVICES')
        hidden = f'CUDA_VISIBLE_DEVICES={visible!r} may hide them; else ' if visible is not None else ''
        yield Finding(TOPIC, 'GPU', 'wrong', found, f'{hidden}{_CHOOSE}, or install a newer driver')


def _gpu(number: int) -> Finding:
    """A GPU that multiplies, or does not."""
    import torch

    properties = torch.cuda.get_device_properties(number)
    told = f'{properties.name}, {properties.total_memory / _GB:.0f} GB'
    try:
        ones = torch.ones(8, 8, device=f'cuda:{number}')
        if (ones @ ones).sum().item() != 512:
            found = f'{told}: a product of ones is wrong'
            return Finding(TOPIC, f'GPU {number}', 'wrong', found, 'it may be damaged', needed=True)
        free = torch.cuda.mem_get_info(number)[0]
    except RuntimeError as error:
        advice = f'this torch may not be built for it: {_CHOOSE}'
        return Finding(TOPIC, f'GPU {number}', 'wrong', f'{told}: {reason(error)}', advice, needed=True)
    return Finding(TOPIC, f'GPU {number}', 'ok', f'{told}, {free / _GB:.0f} GB free')


def driver_and_its_cuda() -> tuple[str, str] | None:
    """NVIDIA's driver, and the newest CUDA that it has; None if there is no driver, or no GPU for it."""
    if shutil.which('nvidia-smi') is None:
        return None
    told = subprocess.run(['nvidia-smi'], capture_output=True, text=True, timeout=30).stdout
    driver, cuda = (re.search(rf'{name} Version:\s*([\d.]+)', told) for name in ('Driver', 'CUDA'))
    return (driver[1], cuda[1] if cuda else 'unknown') if driver else None


def cpu() -> Iterator[Finding]:
    """The threads."""
    yield Finding(TOPIC, 'CPU', 'ok', _threads())


def _threads() -> str:
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return f'{torch.get_num_threads()} threads of torch on {allowed} processors'


def native_ops() -> Iterator[Finding]:
    """mmcv's native operators, which detection needs: by whom, and whether they compute what they should."""
    import torch

    from ..compat import native_ops as compat

    provider = compat.install()
    if provider == 'none':
        yield Finding(TOPIC, 'native operators', 'missing', 'no mmcv', "pip install 'onedl-mmcv'", needed=True)
        return
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    for device in ('cpu', *(('cuda',) if torch.cuda.is_available() else ())):
        kept = nms(boxes.to(device), torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
        box = torch.tensor([[0.0, 0, 0, 4, 4]], device=device)
        pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), box, 2).sum().item()
        if kept == [0, 2] and abs(pooled - 4) < 1e-4:
            yield Finding(TOPIC, f'native operators on {device}', 'ok', f'NMS and RoIAlign run, by {_by(provider)}')
        else:
            advice = 'install torch and torchvision as a pair, from one index'
            found = f'NMS and RoIAlign, by {_by(provider)}, give wrong numbers'
            yield Finding(TOPIC, f'native operators on {device}', 'wrong', found, advice, needed=True)


def _by(provider: str) -> str:
    return 'mmcv (compiled)' if provider == 'compiled' else provider


def compiler() -> Iterator[Finding]:
    """What ``compile=True`` needs."""
    import torch

    from ..errors import UserError
    from ..runs.compiling import check_compile

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        check_compile(True, device)
    except UserError as error:
        yield Finding(TOPIC, 'compiler', 'missing', str(error))
    else:
        yield Finding(TOPIC, 'compiler', 'ok', f'there is one for torch.compile on {device}')
