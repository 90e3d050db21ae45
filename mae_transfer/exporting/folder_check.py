"""Does another project's model, loaded from an exported folder, give what ours gives?"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..classify import ViTClassifier
from ..errors import UserError
from ..paths import shown
from ..pretraining import MAE
from .checking import random_images
from .peer_models import PeerModel
from .source import Source

#: The largest difference of features and logits, relative to the largest of ours.
TOLERANCE = 1e-5


def compare(source: Source, model: PeerModel, folder: Path, format: str) -> tuple[str, float]:
    """What was compared, and the largest difference; raises ``UserError`` where the other model is not ours."""
    height, width = (side * source.vit.patch_size for side in source.vit.grid)
    images = random_images(source, (2, height, width), torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (source.mean, source.std))
    images = (images.float() - mean) / std
    try:
        with _quiet(), torch.no_grad():
            found = (
                _timm_outputs(source, folder, images) if format == 'timm' else _outputs(source, model, folder, images)
            )
    except UserError as error:
        raise UserError(f"{shown(source.name)}: {error}: choose format='onnx'") from error
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
        line = ' '.join(str(error).split())[:200]
        raise UserError(
            f"{shown(source.name)}: {format} has no model like this one ({line}): choose format='onnx'"
        ) from error
    expected = _ours(source, images)
    gaps = {}
    for name, value in found.items():
        ours = expected[name]
        same = ours.shape == value.shape
        gaps[name] = float((value - ours).abs().max() / max(1.0, float(ours.abs().max()))) if same else float('inf')
    worst = max(gaps, key=lambda name: float('inf') if gaps[name] != gaps[name] else gaps[name])
    if not gaps[worst] <= TOLERANCE:  # NaN is none
        raise UserError(
            f'{shown(source.name)}: {model.name} of {format} gives another {worst} (by {gaps[worst]:.1e}, more than '
            f"{TOLERANCE:.0e}): choose format='onnx'"
        )
    return f'{", ".join(gaps)} of {model.name} compared on images of {height} x {width}', gaps[worst]


def _ours(source: Source, images: Tensor) -> dict[str, Any]:
    model, whole = source.model, source.pretraining
    with torch.no_grad():
        tokens, first = source.vit.tokens(images), source.vit.num_prefix
        outputs = dict(patches=tokens[:, first:])
        if first:
            outputs['class token'] = tokens[:, 0]
        if isinstance(model, ViTClassifier) and model.num_classes:
            outputs['logits'] = model(images, mode='tensor')
        if isinstance(whole, MAE):
            mask = whole.mask(images, noise=_noise(images, source))
            outputs['reconstruction'] = whole.predict(images, mask, everywhere=True)
    return outputs


def _timm_outputs(source: Source, folder: Path, images: Tensor) -> dict[str, Tensor]:
    import timm

    model: Any = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
    tokens = model.forward_features(images)
    special = source.vit.num_special
    outputs = dict(patches=tokens[:, special:])
    if source.vit.num_prefix:
        outputs['class token'] = tokens[:, 0]
    if model.num_classes:
        outputs['logits'] = model(images)
    return outputs


def _noise(images: Tensor, source: Source) -> Tensor:
    """A number for each patch, by which a mask is drawn."""
    rows, columns = source.vit.grid
    return torch.rand(len(images), rows * columns, generator=torch.Generator().manual_seed(0))


def _outputs(source: Source, model: PeerModel, folder: Path, images: Tensor) -> dict[str, Tensor]:
    """What transformers' model gives, under our names of outputs."""
    import transformers

    kind = getattr(transformers, model.name)
    if model.name == 'ViTForImageClassification':
        return dict(logits=_loaded(kind, folder)(images).logits)
    outputs = {}
    if model.name == 'ViTMAEForPreTraining':
        outputs['reconstruction'] = _loaded(kind, folder)(images, noise=_noise(images, source)).logits
        kind = transformers.ViTModel  # its encoder, which masks nothing
    more = dict(add_pooling_layer=False) if kind in (transformers.ViTModel, transformers.BeitModel) else {}
    loaded = _loaded(kind, folder, is_encoder=model.with_decoder, **more)
    result = loaded(images)
    if model.name == 'CLIPVisionModel':  # whose last norm is for the class token alone
        return {'class token': result.pooler_output}
    tokens = result.last_hidden_state
    if model.name == 'SiglipVisionModel':
        return dict(patches=tokens)
    registers = model.settings.get('num_register_tokens', 0)
    return outputs | {'class token': tokens[:, 0], 'patches': tokens[:, 1 + registers :]}


def _loaded(kind: Any, folder: Path, is_encoder: bool = False, **more: Any) -> Any:
    """A model of transformers from the folder; every weight must have its place, but those of a decoder.

    Raises:
        UserError: a weight has none, or is missing.
    """
    model, info = kind.from_pretrained(folder, output_loading_info=True, **more)
    unexpected = [name for name in info['unexpected_keys'] if not (is_encoder and name.startswith('decoder.'))]
    # Tokens that are used in masked pre-training alone have no part in features.
    missing = [name for name in info['missing_keys'] if not name.endswith('mask_token')]
    if wrong := [*missing, *unexpected, *info.get('mismatched_keys', ())]:
        raise UserError(f"{kind.__name__} of transformers has no place for '{wrong[0]}', or has it beyond ours")
    return model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries say of a model type that is loaded as another."""
    loggers = [logging.getLogger(name) for name in ('transformers', 'timm')]
    levels = [logger.level for logger in loggers]
    bars = sys.modules.get('transformers.utils.logging')
    has_bars = bars is not None and bars.is_progress_bar_enabled()
    try:
        if bars is not None:
            bars.disable_progress_bar()
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
        if bars is not None and has_bars:
            bars.enable_progress_bar()
