"""The rows of the paper's ablations, scaled down to what the machine can run."""

from __future__ import annotations

from inspect import signature
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS

from ..errors import UserError
from ..kinds import is_kind
from ..pretraining import DVAE, PCATarget
from ..settings import change_settings, find_setting
from ..vit.sizes import Size, resolve_size
from .pretraining import check_pretraining

#: Settings of the training photos that a scaled row takes from the scale, not from the row.
PHOTO_SETTINGS_OF_SCALE = ('type', 'data_root', 'split', 'img_size', 'hold_out', 'bands', 'exif_orientation')
#: Parts of the model that a scaled row takes from the scale.
MODEL_PARTS_OF_SCALE = ('vit', 'data_preprocessor')
#: What the paper's rows have in common: values in a patch, ViT-L's width, the width of a decoder's head, epochs.
PATCH_LENGTH, ENCODER_WIDTH, HEAD_WIDTH, BASELINE_EPOCHS = 16 * 16 * 3, 1024, 32, 800


def make_scale(
    cfg: Config,
    arch: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    patch_size: int | None = None,
    max_epochs: int | None = None,
    batch: int | None = None,
    base_lr: float | None = None,
    data_root: str | None = None,
) -> Config:
    """Change the sizes of a pre-training's config; None keeps the config's own.

    With other ``max_epochs`` the warm-up keeps its share of them.

    Args:
        cfg: e.g. configs/small/mae_pretrain_tin20.py, as returned by ``read_config``; it is not changed.
        arch: size of the ViT, see :func:`~mae_transfer.vit.sizes.resolve_size`.
        image_size: side, or (height, width), of the crops in pixels.
        patch_size: side in pixels.
        batch: images per step, without gradient accumulation.

    Raises:
        UserError: the config is not an MAE pre-training, or lacks a named setting of configs/_base_/mae_pretrain.py.
    """
    check_pretraining(cfg)
    for name in ('data_root', 'image_size', 'max_epochs', 'warmup', 'total_batch_size', 'base_lr'):
        if name not in cfg:
            raise UserError(f"{cfg.filename} has no '{name}': base it on configs/_base_/mae_pretrain.py")
    vit = cfg.model.vit
    changes = {
        'data_root': data_root,
        'model.vit.arch': arch,
        'model.vit.patch_size': patch_size or vit.get('patch_size') or resolve_size(arch or vit.arch).patch_size,
        'image_size': image_size,
        'max_epochs': max_epochs,
        'warmup': max_epochs and cfg.warmup * max_epochs / cfg.max_epochs,
        'total_batch_size': batch,
        'train_dataloader.batch_size': batch,
        'base_lr': base_lr,
    }
    return change_settings(cfg, [(key, value) for key, value in changes.items() if value is not None])


def scale_row(row: Config, scale: Config, tokenizer: dict | None = None) -> Config:
    """Bring a row of the paper's size to another scale.

    - From ``scale``: ViT, image and patch size, batch, learning rate, precision, data, loaders, hooks, warm-up.
    - From ``row``: the rest of the model (masking, target, the decoder's depth, mask tokens in the encoder, which
      patches the loss covers), the augmentation, and hooks that the scale does not have.
    - Scaled: the decoder's width, by the ViT's width over ViT-L's 1024, with heads of about 32 channels; the number of
      principal components, by the length of a patch over the paper's 768; the epochs, by the row's over the
      baseline's 800.

    Args:
        row: a pre-training of the paper's size, as returned by ``read_config``.
        scale: a pre-training of the machine's size, see :func:`make_scale`.
        tokenizer: config of the tokenizer that replaces a row's DVAE; None keeps the row's.

    Returns:
        A config for tools/train.py, without ``published``.
    """
    scope, settings, vit = row.get('default_scope'), scale.to_dict(), scale.model.vit
    model = {**row.model.to_dict(), **{part: settings['model'][part] for part in MODEL_PARTS_OF_SCALE}}
    # Put the scale's references back, so that e.g. model.vit.img_size still follows image_size.
    for place, text in settings.get('references', {}).items():
        if place.startswith(tuple(f'model.{part}.' for part in MODEL_PARTS_OF_SCALE)):
            parent, name = find_setting(dict(model=model), place)
            parent[name] = text
    model['decoder'].update(scale_decoder(model['decoder']['embed_dim'], resolve_size(vit['arch'])))
    target = model['target']
    if is_kind(target, MODELS, scope, PCATarget):
        components = target.get('components', default_of(PCATarget, 'components'))
        length = vit['patch_size'] ** 2 * vit.get('in_channels', 3)
        target['components'] = max(1, round(components * length / PATCH_LENGTH))
    if tokenizer is not None and is_kind(target.get('tokenizer'), MODELS, scope, DVAE):
        target['tokenizer'] = dict(tokenizer)
    epochs = scale.train_cfg.max_epochs * row.train_cfg.max_epochs / BASELINE_EPOCHS
    changes = [('max_epochs', max(1, round(epochs))), ('model', model)]
    for key, value in row.train_dataloader.dataset.to_dict().items():
        if key not in PHOTO_SETTINGS_OF_SCALE:
            changes.append((f'train_dataloader.dataset.{key}', value))
    for name, hook in row.default_hooks.to_dict().items():
        if name not in scale.default_hooks:
            changes.append((f'default_hooks.{name}', hook))
    return change_settings(scale, changes)


def default_of(kind: type, name: str) -> Any:
    """The default value of a class's parameter, for a config that does not state it."""
    return signature(kind).parameters[name].default


def scale_decoder(width: int, size: Size) -> dict[str, int]:
    """Scale a decoder's width with the ViT's.

    The width is a multiple of 4, as the position embedding requires; heads have about 32 channels, as those of the
    paper's decoder of 512 channels.

    Args:
        width: width of the decoder for ViT-L.
        size: size of the ViT.

    Returns:
        The decoder's ``embed_dim`` and ``num_heads``.
    """
    width = max(4, round(width * size.embed_dim / ENCODER_WIDTH / 4) * 4)
    heads = max(1, round(width / HEAD_WIDTH))
    while width % heads:
        heads -= 1
    return dict(embed_dim=width, num_heads=heads)
