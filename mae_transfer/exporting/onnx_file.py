"""A ViT, a classifier or a segmentor as an ONNX file, checked with onnxruntime.

PyTorch has two exporters. The one by TorchScript writes these files, which PyTorch calls the older one. That by
``torch.export`` (``dynamo=True``) took 52 and 91 s for a ViT-S on one core, where this one took 5 s; its file was as
large and not faster in onnxruntime (``docs/export.md``). Should it be needed one day: a plain ViT and one of DINOv3's
design went through it with any height and width.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.files.bands import channel_values
from ..errors import UserError
from ..outputs import output_file
from ..paths import shown, user_path
from ..progress import Waiting
from ..version import __version__
from ..whole_files import keep_content, keep_names
from .checking import TOLERANCE, Check, check_file
from .graphs import FeatureGraph, Graph, graph_of
from .results import ExportResult, need
from .source import Source

#: Of ONNX's operators; onnxruntime reads it since 1.12.
OPSET = 17
#: A file of protobuf holds less than 2 GiB; the weights of larger models are in a second file.
_MOST_BYTES = 2**31 - 2**27  # of weights, beside which the graph has room
#: Of weights whose writing takes more than a few seconds.
_LARGE = 2**28


def export_onnx(
    source: Source, out: str | Path, output: str | None = None, image_size: int | tuple[int, int] | None = None
) -> ExportResult:
    """Write an ONNX file, and keep it if onnxruntime gives our values.

    Its only input is ``images`` (B, C, H, W): uint8 for 'RGB' and 'L', so that colours in [0, 1] are refused; float32
    for bands by number. They have the values of the image files, red first: mean and deviation are inside. B, H and W
    are free, H and W multiples of the patch size; a segmentor takes any.

    Args:
        out: file to write, ``*.onnx``.
        output: of a classifier or segmentor: 'logits' (default), 'probabilities' or 'labels'.
        image_size: side, or (height, width), of the only images that the file takes; None: of any size.

    Returns:
        What was written and checked.

    Raises:
        UserError: onnx or onnxruntime is not installed; the path cannot be written to; a model, an output or a size
            that cannot be exported; a file that does not give our values, which is removed.
    """
    path = check_onnx_path(out)
    graph = graph_of(source, output).eval()
    size = None if image_size is None else _checked_size(image_size, graph)
    # Beside the file, so that it can be moved there at once.
    with tempfile.TemporaryDirectory(prefix='.onnx-', dir=path.parent) as folder:
        with Waiting('graph traced and written', at_once=_weight_bytes(graph) > _LARGE):
            written = _write(graph, source, Path(folder) / path.name, size)
        check = _checked(written[0], graph, source, size)
        files = tuple(path.with_name(file.name) for file in written)
        for file, place in reversed([*zip(written, files)]):  # the weights before the graph that names them
            keep_content(file)
            file.replace(place)
    keep_names(path.parent)
    return ExportResult(files, 'onnx', check.words, check.difference, _notes(graph, source, size))


def check_onnx_path(out: str | Path) -> Path:
    """Check, before any work, that the file can be written and the packages are there; raises ``UserError``."""
    need('onnx', 'onnx', 'onnxruntime')
    path = user_path(out, 'out')
    if path.suffix != '.onnx' and not path.is_dir():
        raise UserError(f"out: '{shown(path)}' must end in .onnx")
    return output_file(path, 'out')


def _checked_size(image_size: Any, graph: Graph) -> tuple[int, int]:
    """(height, width); raises ``UserError`` for sides that the model does not take."""
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    valid = len(sides) == 2 and all(isinstance(side, int) and side > 0 and not side % graph.multiple for side in sides)
    if not valid:
        kind = f'multiples of {graph.multiple}, the patch size' if graph.multiple > 1 else 'pixels'
        raise UserError(f'image_size is one side, or (height, width), in {kind}; found {image_size!r}')
    return sides


def _write(graph: Graph, source: Source, path: Path, size: tuple[int, int] | None) -> list[Path]:
    """Write the file; of a large model, its weights into a second one."""
    import onnx

    example = example_images(graph, source, size)
    free = {0: 'batch'} | ({} if size else {2: 'height', 3: 'width'})
    axes = {'images': free, **{name: {0: 'batch'} | (graph.axes[name] if not size else {}) for name in graph.names}}
    raw = path.with_name('raw') / path.name  # the exporter writes a large model's weights into a file each
    raw.parent.mkdir()
    try:
        with torch.no_grad(), _quiet():
            torch.onnx.export(
                graph,
                (example,),
                str(raw),
                input_names=['images'],
                output_names=list(graph.names),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError) as error:  # also of torch.onnx's own
        line = str(error).strip().splitlines()[0][:200]
        raise UserError(f'{shown(source.name)} cannot be written as ONNX: {line}') from error
    model = onnx.load(str(raw))
    onnx.helper.set_model_props(model, _metadata(graph, source, size))
    model.producer_name, model.producer_version = 'mae_transfer', __version__
    # Of the model itself: protobuf cannot say the size of what it cannot write.
    if _weight_bytes(graph) <= _MOST_BYTES:
        onnx.save_model(model, str(path))
        written = [path]
    else:
        weights = f'{path.name}.data'
        onnx.save_model(model, str(path), save_as_external_data=True, location=weights)
        written = [path, path.with_name(weights)]
        written[1].chmod(path.stat().st_mode)  # onnx lets the owner alone read it
    shutil.rmtree(raw.parent)
    return written


def _weight_bytes(graph: Graph) -> int:
    return sum(value.nbytes for value in graph.state_dict().values())


def example_images(graph: Graph, source: Source, size: tuple[int, int] | None) -> Tensor:
    """The images that the exporter follows through the model.

    For images of any size, those for which everything is done that other sizes may need: each table of positions is
    resized, and windows are padded at both borders.
    """
    if size is None:
        vit, patches = source.vit, graph.unit // graph.vit_patch
        tables = {side for grid in (vit.grid, vit.rel_pos_grid) for side in grid}
        window = vit.window_size or 1
        fits = (n for n in range(2, 10**6) if n * patches not in tables and (window == 1 or n * patches % window))
        rows, columns = next(fits), next(fits)
        size = (rows * graph.unit, columns * graph.unit)
    dtype = torch.uint8 if source.is_of_8_bits else torch.float32
    return torch.zeros(2, source.vit.in_channels, *size, dtype=dtype)


def _metadata(graph: Graph, source: Source, size: tuple[int, int] | None) -> dict[str, str]:
    """What a reader of the file should know, as texts; lists are JSON."""
    vit, sides = source.vit, 'any height and width'
    if size:
        sides = f'{size[0]} x {size[1]}'
    elif graph.multiple > 1:
        sides = f'height and width multiples of {graph.multiple}'
    channels = 'red, green, blue' if source.bands == 'RGB' else 'grey' if source.bands == 'L' else 'bands of the files'
    values = 'values 0 to 255' if source.is_of_8_bits else 'the values of the files'
    return dict(
        mae_transfer_version=__version__,
        task='features' if isinstance(graph, FeatureGraph) else type(source.model).__name__,
        input=f'images (batch, {vit.in_channels}, height, width): {channels}; {values}; {sides}; not normalised',
        outputs=json.dumps(graph.names),
        classes=json.dumps(source.classes, ensure_ascii=False),
        bands=json.dumps(source.bands),
        image_size=json.dumps(size or source.img_size),
        sizes='one' if size else 'any',
        patch_size=str(vit.patch_size),
        mean_inside=json.dumps(channel_values('mean', list(source.mean))),
        std_inside=json.dumps(channel_values('std', list(source.std))),
        source=shown(source.name),
    )


def _checked(path: Path, graph: Graph, source: Source, size: tuple[int, int] | None) -> Check:
    """Compare the file with the model; raise ``UserError`` where it does not give the same."""
    try:
        check = check_file(path, graph, source, size)
    except UserError:
        raise
    except Exception as error:  # of any kind: onnxruntime's own classes derive from RuntimeError and Exception
        line = str(error).strip().splitlines()[0][:200]
        raise UserError(
            f'{shown(source.name)} cannot be exported to ONNX: onnxruntime stops with: {line}; no file was left'
        ) from error
    if not check.difference <= TOLERANCE:  # NaN is none
        raise UserError(
            f'{shown(source.name)} cannot be exported to ONNX: onnxruntime differs by {check.difference:.1e} for '
            f'images of {check.worst}, more than {TOLERANCE:.0e}; no file was left'
        )
    return check


def _notes(graph: Graph, source: Source, size: tuple[int, int] | None) -> tuple[str, ...]:
    notes = []
    if size:
        notes.append(f'the file takes images of {size[0]} x {size[1]} only, as image_size says')
    cfg: Any = getattr(source.model, 'test_cfg', None) or {}
    if cfg.get('mode') == 'slide':
        height, width = cfg['crop_size']
        notes.append(
            f'the file sees each image whole; tests slide a window of {height} x {width} over larger images: cut these '
            'into windows to get the same'
        )
    return tuple(notes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that sides become constants: the check tells whether they did."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
