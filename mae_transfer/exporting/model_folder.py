"""A folder that timm or transformers loads: weights, ``config.json`` and a model card, checked in this process."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ..classify import ViTClassifier
from ..errors import UserError
from ..outputs import output_folder
from ..paths import shown
from ..progress import Waiting
from ..version import __version__
from ..vit.weights.layouts import from_canonical, to_canonical
from ..whole_files import keep_content, keep_names
from .folder_check import compare
from .model_card import model_card
from .peer_models import PeerModel, timm_model, transformers_model
from .results import ExportResult, need
from .source import Source

FOLDERS = ('timm', 'transformers')
WEIGHTS = 'model.safetensors'


def export_folder(source: Source, out: str | Path, format: str) -> ExportResult:
    """Write a folder, and keep it if the project's own model gives our values.

    ``model.safetensors``, ``config.json``, ``README.md`` (:func:`~.model_card.model_card`), and for transformers
    ``preprocessor_config.json``, if images are colours or grey of 8 bits.

    Args:
        out: a folder that is not there, or empty.
        format: 'timm' or 'transformers'.

    Returns:
        What was written and checked.

    Raises:
        UserError: the package is not installed; the folder cannot be written to, or has files; the project has no model
            like this one, or its model does not give our values: the folder is then not there.
    """
    folder = check_folder(out, format)
    model = timm_model(source) if format == 'timm' else transformers_model(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Waiting(f'folder for {format} written and compared')
    with making, tempfile.TemporaryDirectory(prefix='.export-', dir=folder.parent) as part:
        made = Path(part) / 'folder'
        made.mkdir()
        save_file(_state(source, model), made / WEIGHTS, metadata=dict(format='pt'))
        _write(made / 'config.json', _timm_config(source, model) if format == 'timm' else _config(model))
        if format == 'transformers' and source.is_of_8_bits:
            _write(made / 'preprocessor_config.json', _preprocessor(source))
        checked, difference = compare(source, model, made, format)
        words = f'{checked}; largest difference {difference:.1e}'
        (made / 'README.md').write_text(model_card(source, model, format, folder.name, words), encoding='utf-8')
        for file in made.iterdir():
            keep_content(file)
        if folder.is_dir():
            folder.rmdir()
        shutil.move(made, folder)
    keep_names(folder.parent)
    names = [WEIGHTS, *sorted(path.name for path in folder.iterdir() if path.name != WEIGHTS)]
    return ExportResult(tuple(folder / name for name in names), format, checked, difference, _notes(source, format))


def check_folder(out: str | Path, format: str) -> Path:
    """Check, before any work, that the folder can be written and the package is there; raises ``UserError``."""
    need(format, format)
    folder = output_folder(out, 'out', create=False)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"out: the folder '{shown(folder)}' has files: name one that is new or empty")
    return folder


def _state(source: Source, model: PeerModel) -> dict[str, Tensor]:
    """The weights in the layout of the other project; a tensor of its own for each name."""
    whole = source.pretraining if model.with_decoder and source.pretraining else source.model
    encoder, decoder, head, _ = to_canonical(whole.state_dict())
    decoder = decoder if model.with_decoder else None
    head = head if isinstance(source.model, ViTClassifier) and source.model.num_classes else {}
    try:
        state = from_canonical(encoder, decoder, model.layout, head)
    except UserError as error:
        raise UserError(f"{shown(source.name)}: {error}: choose format='onnx'") from error
    return {name: value.detach().clone().contiguous() for name, value in state.items()}


def _timm_config(source: Source, model: PeerModel) -> dict[str, Any]:
    """``config.json`` in timm's form; it states images on the scale 0 to 1."""
    settings = {name: value for name, value in model.settings.items() if name != 'num_classes'}
    height, width = source.img_size
    config: dict[str, Any] = dict(
        architecture=model.name,
        num_classes=model.settings['num_classes'],
        num_features=source.vit.embed_dim,
        global_pool=model.settings['global_pool'],
        model_args=settings,
        pretrained_cfg=dict(
            tag=f'mae_transfer_{__version__}',
            input_size=[source.vit.in_channels, height, width],
            fixed_input_size=True,
            interpolation='bicubic',
            crop_pct=crop_share(source.img_size),
            mean=_unit(source.mean),
            std=_unit(source.std),
            num_classes=model.settings['num_classes'],
            pool_size=None,
            first_conv='patch_embed.proj',
            classifier='head',
        ),
    )
    if source.classes and model.settings['num_classes']:
        config['label_names'] = list(source.classes)
    return config


def _config(model: PeerModel) -> dict[str, Any]:
    """``config.json`` of transformers, by its own class."""
    import transformers

    kind = getattr(transformers, model.name)
    config = kind.config_class(**model.settings)
    config.architectures = [model.name]
    return json.loads(config.to_json_string(use_diff=True))


def _preprocessor(source: Source) -> dict[str, Any]:
    """As evaluation sees images: the shorter side resized, then a crop in the middle."""
    height, width = source.img_size
    return dict(
        image_processor_type='BitImageProcessor',
        do_resize=True,
        size=dict(shortest_edge=int(max(height, width) / crop_share(source.img_size))),
        resample=3,
        do_center_crop=True,
        crop_size=dict(height=height, width=width),
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=_unit(source.mean),
        image_std=_unit(source.std),
        do_convert_rgb=source.bands == 'RGB',
    )


def crop_share(img_size: tuple[int, int]) -> float:
    """The crop's longer side, divided by the shorter side of the resized image: that of the evaluation here."""
    return 224 / 256 if max(img_size) <= 224 else 1.0


def _unit(values: tuple[float, ...]) -> list[float]:
    """Statistics on a scale to 1, as they were written: without float32's digits."""
    return [float(f'{value / 255:.7g}') for value in values]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')


def _notes(source: Source, format: str) -> tuple[str, ...]:
    if source.is_of_8_bits:
        return ()
    return (f'bands {source.bands}: {format} reads no such images; mean and std in the folder are divided by 255',)
