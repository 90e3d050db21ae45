"""mmcv's native ops, provided by torchvision if mmcv is installed without them.

The wheel of ``pip install onedl-mmcv`` is pure Python: importing ``mmcv.ops``, and so MMDetection, fails with
``No module named 'mmcv._ext'``. Mask R-CNN and UperNet need only three of those ops: NMS, and RoIAlign forward and
backward. torchvision has them, for the CPU and for CUDA; on a CPU, RoIAlign is ours, which is faster
(``roi_align.py``). :func:`install` adds a module with them under the name that
mmcv imports.

Every process that imports ``mae_transfer`` has these ops: forked workers; ranks and spawned workers of a script that
imports it at its top, as all of ``tools/`` do (a spawned child runs its parent's script up to
``if __name__ == '__main__'`` before it unpickles anything); and spawned workers whose data set or function is defined
in this package. A child spawned from a notebook, ``python -c`` or an interactive session that gets only objects of mmcv
or MMDetection does not import this package, and so lacks the ops: start it from a script.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ..processes import is_main_process

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Private to mmcv: the name under which mmcv/utils/ext_loader.py imports its compiled ops, and MMEngine looks for them.
EXTENSION = 'mmcv._ext'
HOW_TO_BUILD = 'in a checkout of onedl-mmcv: MMCV_WITH_OPS=1 pip install --no-build-isolation .'


def install() -> str:
    """Make ``mmcv.ops`` importable; idempotent. Imports neither torch nor mmcv unless mmcv has compiled ops.

    Returns:
        The provider of mmcv's ops: ``'compiled'`` (mmcv itself), ``'torchvision'``, or ``'none'`` if mmcv is not
        installed.
    """
    present = sys.modules.get(EXTENSION)
    if present is not None:
        return 'torchvision' if isinstance(present.__loader__, _Loader) else 'compiled'
    package = importlib.util.find_spec('mmcv')
    if package is None or not package.submodule_search_locations:
        return 'none'
    compiled = importlib.machinery.PathFinder.find_spec(EXTENSION, package.submodule_search_locations)
    if compiled is not None and _load_compiled(compiled):
        return 'compiled'
    _load(importlib.machinery.ModuleSpec(EXTENSION, _Loader(), origin=__name__))
    return 'torchvision'


def _load_compiled(spec: importlib.machinery.ModuleSpec) -> bool:
    """Load mmcv's compiled ops; warn and return False if this fails, as for ops that were built for another torch."""
    import torch  # the extension is linked against torch's libraries, which must be loaded first

    try:
        _load(spec)
    except (ImportError, OSError) as error:
        if is_main_process():
            warnings.warn(
                f"mmcv's compiled ops do not load with torch {torch.__version__} ({error}): torchvision provides nms "
                f'and roi_align instead; for the other ops build mmcv for this torch, {HOW_TO_BUILD}',
                RuntimeWarning,
                stacklevel=4,
            )
        return False
    return True


def _load(spec: importlib.machinery.ModuleSpec) -> None:
    # Like `import mmcv._ext`, but without importing its parent: pre-training needs neither mmcv nor cv2, whose import
    # takes long.
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[EXTENSION] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[EXTENSION]
        raise


class _Loader(importlib.abc.Loader):
    """Fills the module. With a loader, ``find_spec('mmcv._ext')`` works as for any other module."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None  # Python creates it

    def exec_module(self, module: types.ModuleType) -> None:
        for op in (nms, roi_align_forward, roi_align_backward, get_compiler_version, get_compiling_cuda_version):
            setattr(module, op.__name__, op)
        module.__dict__['__getattr__'] = _missing_op


def _missing_op(name: str) -> Callable[..., NoReturn]:
    """A function for any other op that raises when called: mmcv looks up all ops on import, but few are ever called."""
    if name.startswith('_'):
        raise AttributeError(f'module {EXTENSION!r} has no attribute {name!r}')

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            f'mmcv op {name!r} is not one of those that torchvision provides here (nms, roi_align): build mmcv, '
            f'{HOW_TO_BUILD}'
        )

    op.__name__ = name
    return op


# The ops have the names and arguments of mmcv/ops/*.py. Like the compiled ones, RoIAlign writes into given buffers.


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that greedy non-maximum suppression keeps, highest score first.

    Args:
        boxes: (N, 4) corners x1, y1, x2, y2.
        scores: (N,)
        iou_threshold: a box is dropped if its IoU with a box of higher score is above this.
        offset: 0; or 1 if corners are pixel numbers, so that a box is ``x2 - x1 + 1`` wide.
    """
    import torch
    import torchvision

    # torchvision requires one dtype for both and, on the CPU, at least float32. Lowering the dtype would make ties.
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, scores.dtype), torch.float32)
    if offset:
        # Moving the far corner by one makes the box wider by one. In float64 the sum is not rounded.
        dtype = torch.float64
        boxes = torch.cat([boxes[:, :2].to(dtype), boxes[:, 2:].to(dtype) + offset], dim=1)
    return torchvision.ops.nms(boxes.to(dtype), scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool the boxes ``rois`` (K, 5) of ``input`` (N, C, H, W) into ``output`` (K, C, aligned_height, aligned_width).

    The ``argmax`` buffers are for maximum pooling and stay unchanged.
    """
    _check_pool_mode(pool_mode)
    import torch
    import torchvision  # noqa: F401  registers torch.ops.torchvision

    from . import roi_align as on_cpu

    dtype = _working_dtype(input)
    input, rois = input.to(dtype), rois.to(dtype)
    if input.is_cuda:
        pooled = torch.ops.torchvision.roi_align(
            input, rois, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
        )
    else:
        pooling = on_cpu.Pooling(spatial_scale, (aligned_height, aligned_width), sampling_ratio, aligned)
        pooled = on_cpu.roi_align(input, rois, pooling)
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient of the feature map into ``grad_input`` (N, C, H, W).

    Raises:
        RuntimeError: from torch, on CUDA with ``torch.use_deterministic_algorithms(True)``: the order of summation is
            not fixed.
    """
    _check_pool_mode(pool_mode)
    import torch
    import torchvision  # noqa: F401  registers torch.ops.torchvision

    from . import roi_align as on_cpu

    dtype = _working_dtype(grad_output)
    grad_output, rois = grad_output.to(dtype), rois.to(dtype)
    if grad_output.is_cuda:
        # Private to torchvision: the backward function of its autograd. mmcv calls it from its own autograd function,
        # where the public `torchvision.ops.roi_align` would have to run forward again to be differentiated.
        gradient = torch.ops.torchvision._roi_align_backward(
            grad_output, rois, spatial_scale, aligned_height, aligned_width, *grad_input.shape, sampling_ratio, aligned
        )
    else:
        pooling = on_cpu.Pooling(spatial_scale, (aligned_height, aligned_width), sampling_ratio, aligned)
        gradient = on_cpu.roi_align_gradient(grad_output, rois, grad_input.shape, pooling)
    grad_input.copy_(gradient)


def _check_pool_mode(pool_mode: int) -> None:
    if pool_mode != 1:
        raise RuntimeError(
            "RoIAlign with pool_mode='max' is not provided by torchvision: use pool_mode='avg', or build mmcv, "
            f'{HOW_TO_BUILD}'
        )


def _working_dtype(features: Tensor) -> torch.dtype:
    # At least float32, as in torchvision under autocast: its CPU kernel does not support bfloat16, and boxes cast to
    # bfloat16 would be whole pixels off.
    import torch

    return torch.promote_types(features.dtype, torch.float32)


# For the bug reports of mmcv's and MMDetection's collect_env.


def get_compiler_version() -> str:
    return 'not compiled: nms and roi_align by torchvision'


def get_compiling_cuda_version() -> str:
    return 'not compiled'
