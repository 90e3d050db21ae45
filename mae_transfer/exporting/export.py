"""One call for every export: from a run, or from the weights of a ViT, to files that were checked."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..calls import python_call
from ..errors import UserError
from ..inference.bare_vit import BareViT
from ..inference.models import model_of
from ..inference.trained import Trained
from ..paths import shown
from .model_folder import FOLDERS, check_folder, export_folder
from .onnx_file import check_onnx_path, export_onnx
from .results import ExportResult
from .source import Source, source_of

FORMATS = ('onnx', *FOLDERS)
PARTS = ('model', 'vit')


@python_call
def export(
    model: Trained | str | os.PathLike,
    out: str | Path,
    *,
    format: str = 'onnx',
    part: str = 'model',
    output: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    verbose: bool = False,
    **reading: Any,
) -> ExportResult:
    """Write a model as other programs read it, and compare what they compute from it with ours.

    Args:
        model: what :func:`~mae_transfer.inference.trained.load` gave or takes: a work_dir, or a checkpoint of a run. Or
            the weights of a ViT alone, a file or folder of official MAE, timm, transformers or another known layout.
        out: file to write (``*.onnx``), or a folder that is not there or empty.
        format: 'onnx' (:func:`~.onnx_file.export_onnx`); 'timm' or 'transformers', a folder
            (:func:`~.model_folder.export_folder`).
        part: 'model': a classifier or segmentor whole, of a pre-training the ViT; 'vit': of any model only its ViT.
        output: of ONNX: 'logits' (default), 'probabilities' or 'labels'.
        image_size: of ONNX: side, or (height, width), of the only images that the file takes; None: of any size.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).
        reading: ``arch``, ``init``, ``design``, ``weights_key``, ``source_grid``, ``bands``, ``mean``, ``std`` of a ViT
            alone (:func:`~mae_transfer.inference.bare_vit.read_bare_vit`). If one is given, ``model`` is taken as such.

    Returns:
        What was written, on what it was checked, and the largest difference.

    Raises:
        UserError: no such model; an unknown format, part or output; a path that cannot be written to; a package that is
            not installed; a model that the format has no place for; files that do not give our values, which are
            removed.
    """
    for name, value, known in (('format', format, FORMATS), ('part', part, PARTS)):
        if value not in known:
            raise UserError(f"{name} is one of {', '.join(known)}; found '{value}'")
    if format != 'onnx':
        for name, given in (('output', output), ('image_size', image_size)):
            if given is not None:
                raise UserError(f"{name} is of format='onnx': leave it out for format='{format}'")
    if format == 'onnx':
        check_onnx_path(out)
    else:
        check_folder(out, format)
    source = read_source(model, reading)
    if part == 'vit':
        source = source.only_vit()
    if format == 'onnx':
        return export_onnx(source, out, output, image_size)
    return export_folder(source, out, format)


def read_source(model: Trained | str | os.PathLike, reading: dict[str, Any] | None = None) -> Source:
    """What is exported, from what the user gave; on the CPU in float32.

    Raises:
        UserError: as :func:`export`.
    """
    chosen = model_of(model, reading or {}, None if isinstance(model, Trained) else 'cpu')
    if isinstance(chosen, BareViT):
        return _of_bare(chosen)
    # A copy, where the user's model is elsewhere or of another type.
    kept = all(value.device.type == 'cpu' and value.dtype == torch.float32 for value in chosen.model.parameters())
    whole = chosen.model if kept else deepcopy(chosen.model)
    whole = whole.float().cpu().eval()
    source = source_of(whole, chosen.cfg, chosen.classes, shown(chosen.source), checkpoint=chosen.checkpoint)
    if chosen.task == 'pretrain':  # whose ViT is what is used
        return replace(source.only_vit(), pretraining=whole)
    return source


def _of_bare(bare: BareViT) -> Source:
    vit: nn.Module = bare.vit.float().cpu().eval()
    rows, columns = bare.vit.grid
    size = (rows * bare.vit.patch_size, columns * bare.vit.patch_size)
    return Source(vit, bare.bands, bare.mean, bare.std, size, name=shown(bare.source))
