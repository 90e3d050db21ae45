"""The model card of an exported folder: what the run knows, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..classify import ViTClassifier
from ..kinds import data_sets
from ..paths import shown
from ..version import __version__
from ..vit.weights.checkpoint import read_checkpoint
from .peer_models import PeerModel
from .source import Source

#: Settings of a run that matter to who uses its weights, where the config has them.
_SETTINGS = (
    *('total_batch_size', 'base_lr', 'max_epochs', 'max_iters', 'warmup', 'init', 'pretrained', 'image_size'),
    *('crop_size', 'bands'),
)
#: What of a line of a run's log tells how good the model is, beside the names of evaluators, which have a '/'.
_METRICS = ('loss', 'mIoU', 'mAcc', 'aAcc')


def model_card(source: Source, model: PeerModel, format: str, folder: str, checked: str) -> str:
    """The text of ``README.md``: a line for each fact; what is not known has none.

    Args:
        folder: its name, as the lines that load it show it.
        checked: what was compared after writing.
    """
    parts = [_front(source, format), f'# {shown(folder)}', _what(source), '## Use', _use(source, model, format, folder)]
    if facts := training_facts(source):
        parts += ['## Training', '\n'.join(f'- {name}: {value}' for name, value in facts.items())]
    if metrics := last_metrics(source.checkpoint):
        rows = [f'| {shown(name)} | {value:.6g} |' for name, value in metrics.items()]
        parts += ['## Metrics', "The last of the run's log.", '\n'.join(['| metric | value |', '|---|---|', *rows])]
    parts += ['## Images', _images(source), '## Check', f'After writing: {checked}.']
    parts += ['## License', 'To be filled in, here and in the first lines: by whoever publishes these weights.']
    return '\n\n'.join(parts) + '\n'


def _front(source: Source, format: str) -> str:
    task = 'image-classification' if _is_classifier(source) else 'image-feature-extraction'
    lines = [
        f'library_name: {format}',
        f'pipeline_tag: {task}',
        'tags: [vit, mae_transfer]',
        'license: # to be filled in',
    ]
    return '\n'.join(['---', *lines, '---'])


def _what(source: Source) -> str:
    vit = source.vit
    kind = f'classifier of {_model(source).num_classes} classes' if _is_classifier(source) else 'Vision Transformer'
    height, width = (side * vit.patch_size for side in vit.grid)
    size = f'{vit.embed_dim} wide, {vit.depth} blocks, {vit.size.num_heads} heads, patches of {vit.patch_size}'
    return f'A {kind} ({size}) for images of {height} x {width}, exported by mae_transfer {__version__}.'


def _use(source: Source, model: PeerModel, format: str, folder: str) -> str:
    name = shown(folder)
    if format == 'timm':
        call = 'model(images)' if _is_classifier(source) else 'model.forward_features(images)'
        lines = ['import timm', f"model = timm.create_model('local-dir:{name}', pretrained=True).eval()", f'{call}']
    else:
        kind = 'ViTModel' if model.name == 'ViTMAEForPreTraining' else model.name
        pool = ', add_pooling_layer=False' if kind in ('ViTModel', 'BeitModel') else ''
        lines = [f'from transformers import AutoImageProcessor, {kind}']
        lines += [f"model = {kind}.from_pretrained('{name}'{pool}).eval()"]
        processor = f"AutoImageProcessor.from_pretrained('{name}')(image, return_tensors='pt')"
        lines += [f'model(**{processor})' if source.is_of_8_bits else 'model(pixel_values=images)']
    code = '```python\n' + '\n'.join(lines) + '\n```'
    if model.name == 'ViTMAEForPreTraining':
        code += '\n\nWith its decoder, for reconstructions: `ViTMAEForPreTraining.from_pretrained`.'
    return code


def training_facts(source: Source) -> dict[str, str]:
    """What the run knows of its training: config, data, length, settings."""
    cfg, facts = source.cfg, dict[str, str]()
    if cfg is None:
        return facts
    meta = _meta(source.checkpoint)
    if name := meta.get('experiment_name'):
        facts['run'] = shown(str(name))
    facts['model'] = shown(str(cfg.model.get('type')))
    loader: Mapping = cfg.get('train_dataloader') or {}
    roots = [str(data.get('data_root')) for data in data_sets(loader.get('dataset')) if data.get('data_root')]
    if roots:
        facts['data'] = ', '.join(f'`{shown(root)}`' for root in dict.fromkeys(roots))
    if source.classes:
        facts['classes'] = f'{len(source.classes)}: {shown(", ".join(source.classes[:20]))}' + (
            ', ...' if len(source.classes) > 20 else ''
        )
    if meta.get('iter') is not None:
        facts['length'] = f'{meta["iter"]} steps'
        if meta.get('epoch_length') and meta.get('epoch'):
            facts['length'] += f', {meta["epoch"]} epochs of {meta["epoch_length"]}'
        if processes := meta.get('processes'):
            facts['length'] += f', on {processes} process{"es" if processes > 1 else ""}'
    target: Any = cfg.model.get('target')
    if isinstance(target, Mapping):
        facts['target'] = shown(str(target.get('type')))
    masking: Any = cfg.model.get('masking')
    if isinstance(masking, Mapping):
        facts['masking'] = ', '.join(f'{key}={value!r}' for key, value in masking.items())
    facts |= {f'`{name}`': f'`{cfg[name]!r}`' for name in _SETTINGS if cfg.get(name) is not None}
    return facts


def last_metrics(checkpoint: Path | None) -> dict[str, float]:
    """The last loss and the last results of each evaluation in the logs beside a checkpoint; empty without logs."""
    metrics: dict[str, float] = {}
    if checkpoint is None:
        return metrics
    for log in sorted(checkpoint.parent.glob('*/vis_data/scalars.json')):
        for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # a line that was cut when a run stopped
                continue
            if isinstance(values, dict):
                metrics |= {
                    name: float(value)
                    for name, value in values.items()
                    if (name in _METRICS or '/' in name) and isinstance(value, (int, float))
                }
    return metrics


def _images(source: Source) -> str:
    channels = {'RGB': 'red, green, blue', 'L': 'grey'}.get(str(source.bands), f'bands {source.bands} of the files')
    mean, std = (', '.join(f'{value:.7g}' for value in values) for values in (source.mean, source.std))
    scale = '0 to 255' if source.is_of_8_bits else 'the scale of the files'
    return f'Channels: {channels}. Mean {mean} and deviation {std}, for values on {scale}.'


def _meta(checkpoint: Path | None) -> Mapping[str, Any]:
    stored = read_checkpoint(checkpoint) if checkpoint else {}
    meta = stored.get('meta')
    return meta if isinstance(meta, Mapping) else {}


def _is_classifier(source: Source) -> bool:
    return isinstance(source.model, ViTClassifier) and bool(source.model.num_classes)


def _model(source: Source) -> Any:
    return source.model
