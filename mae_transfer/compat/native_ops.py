"""mmcv's native ops, served by torchvision where mmcv came without them.

The wheel ``pip install onedl-mmcv`` fetches is pure Python: importing ``mmcv.ops``, and so MMDetection, fails with
``No module named 'mmcv._ext'``. Mask R-CNN and UperNet need only three of those ops: NMS, and RoIAlign forward and
backward. torchvision has them, for the CPU and for CUDA. ``install`` puts a module with these under the name mmcv looks
for.

Which processes have them: every one that imported ``mae_transfer``. That covers forked workers, ranks and spawned
workers of a script that imports it at its top (as all of ``tools/`` do: a spawned child runs its parent's script up to
``if __name__ == '__main__'`` before it unpickles anything), and spawned workers whose dataset, or the function they are
to run, lives in this package. Not covered: a child spawned from a notebook, ``python -c`` or an interactive session
that is handed nothing but objects of mmcv or MMDetection. It never hears of this package; start it from a script.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import sys
import types
import warnings

# Private to mmcv: the name under which mmcv/utils/ext_loader.py imports its compiled half, and MMEngine looks for it.
EXTENSION = 'mmcv._ext'
BUILD = 'in a checkout of onedl-mmcv: MMCV_WITH_OPS=1 pip install --no-build-isolation .'


def install() -> str:
    """Make ``mmcv.ops`` importable; idempotent, and without importing torch or mmcv unless a compiled mmcv is there.

    Returns:
        Who serves mmcv's ops: ``'compiled'`` (mmcv itself), ``'torchvision'``, or ``'none'`` where mmcv is not
        installed.
    """
    present = sys.modules.get(EXTENSION)
    if present is not None:
        return 'torchvision' if isinstance(present.__loader__, _Loader) else 'compiled'
    package = importlib.util.find_spec('mmcv')
    if package is None or not package.submodule_search_locations:
        return 'none'
    compiled = importlib.machinery.PathFinder.find_spec(EXTENSION, package.submodule_search_locations)
    if compiled is not None and _loads(compiled):
        return 'compiled'
    _load(importlib.machinery.ModuleSpec(EXTENSION, _Loader(), origin=__name__))
    return 'torchvision'


def _loads(spec: importlib.machinery.ModuleSpec) -> bool:
    """Whether the compiled ops load; one built for another torch does not, and one warning says so."""
    import torch  # noqa: F401  the extension is linked against torch's libraries, which must be in the process first

    try:
        _load(spec)
    except (ImportError, OSError) as error:
        if _speaks():
            warnings.warn(
                f"mmcv's compiled ops do not load with torch {torch.__version__} ({error}): torchvision serves nms and "
                f'roi_align instead; to mend it, build mmcv for this torch, {BUILD}',
                RuntimeWarning,
                stacklevel=4,
            )
        return False
    return True


def _load(spec: importlib.machinery.ModuleSpec) -> None:
    # As `import mmcv._ext` would, less the import of its parent: whoever only pre-trains need not wait for mmcv and
    # cv2.
    module = importlib.util.module_from_spec(spec)
    sys.modules[EXTENSION] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[EXTENSION]
        raise


def _speaks() -> bool:
    # Once for a run, not once for each worker and rank.
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    return rank == '0' and multiprocessing.parent_process() is None


class _Loader(importlib.abc.Loader):
    """Fills the module. A loader, so that ``find_spec('mmcv._ext')`` finds what it finds for any module."""

    def create_module(self, spec):
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        for op in (nms, roi_align_forward, roi_align_backward, get_compiler_version, get_compiling_cuda_version):
            setattr(module, op.__name__, op)
        module.__getattr__ = _lacking


def _lacking(name: str):
    """Stand in for any other op: mmcv wants to find all of them at import, and most runs call none of them."""
    if name.startswith('_'):
        raise AttributeError(f'module {EXTENSION!r} has no attribute {name!r}')

    def op(*args, **kwargs):
        raise RuntimeError(
            f'mmcv op {name!r} is not among those this install serves from torchvision (nms, roi_align); '
            f'for the others build mmcv, {BUILD}'
        )

    op.__name__ = name
    return op


# The ops, with the names and the arguments of mmcv/ops/*.py; like the compiled ones, RoIAlign writes into buffers it is
# given.


def nms(boxes, scores, iou_threshold: float, offset: int):
    """Indices of the boxes that greedy non-maximum suppression keeps, best score first.

    Args:
        boxes: (N, 4) corners x1, y1, x2, y2.
        scores: (N,)
        iou_threshold: a box is dropped if its IoU with a better one is above this.
        offset: 0, or 1 where corners are pixels, so that a box is ``x2 - x1 + 1`` wide.
    """
    import torch
    import torchvision

    # torchvision wants one type for both and, on the CPU, none below float32. Never down: scores would tie.
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, scores.dtype), torch.float32)
    if offset:
        # Moving the far corner by one is the same as widening; in double the sum is not rounded, in float32 it would
        # be.
        dtype = torch.float64
        boxes = torch.cat([boxes[:, :2].to(dtype), boxes[:, 2:].to(dtype) + offset], dim=1)
    return torchvision.ops.nms(boxes.to(dtype), scores.to(dtype), iou_threshold)


def roi_align_forward(
    input,
    rois,
    output,
    argmax_y,
    argmax_x,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write into ``output`` (K, C, aligned_height, aligned_width) the boxes ``rois`` (K, 5) cut from ``input`` (N, C,
    H, W).

    The ``argmax`` buffers belong to maximum pooling and stay as they are.
    """
    torch = _average_pooling(pool_mode)
    dtype = _working_dtype(input)
    output.copy_(
        torch.ops.torchvision.roi_align(
            input.to(dtype), rois.to(dtype), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
        )
    )


def roi_align_backward(
    grad_output,
    rois,
    argmax_y,
    argmax_x,
    grad_input,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write into ``grad_input`` (N, C, H, W) the gradient of the feature map.

    Raises:
        RuntimeError: by torch, on CUDA under ``torch.use_deterministic_algorithms(True)``: the sum's order is not
            fixed.
    """
    torch = _average_pooling(pool_mode)
    dtype = _working_dtype(grad_output)
    # Private to torchvision: the backward that its own autograd calls. mmcv has an autograd function of its own, so the
    # public differentiable `torchvision.ops.roi_align` would have to run the forward once more to be differentiated.
    grad = torch.ops.torchvision._roi_align_backward(
        grad_output.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.copy_(grad)


def _average_pooling(pool_mode: int):
    """Return torch with torchvision's ops registered."""
    if pool_mode != 1:
        raise RuntimeError(
            f"RoIAlign with pool_mode='max' is not served from torchvision: use pool_mode='avg', or build mmcv, {BUILD}"
        )
    import torch
    import torchvision  # noqa: F401  importing it registers torch.ops.torchvision

    return torch


def _working_dtype(features):
    # Half precision is worked out in float32, as torchvision does under autocast: its CPU kernel takes no bfloat16, and
    # float32 boxes cast to bfloat16 would be whole pixels off.
    import torch

    return torch.promote_types(features.dtype, torch.float32)


# What mmcv's and MMDetection's collect_env print for a bug report.


def get_compiler_version() -> str:
    return 'not compiled: nms and roi_align by torchvision'


def get_compiling_cuda_version() -> str:
    return 'not compiled'
