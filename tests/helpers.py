"""Small models, photos and runs that several tests share."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image

from mae_transfer.vit import ViT


def small_vit(depth: int = 4, **settings) -> ViT:
    """A ViT of width 16 and patches of 4, for images of 16 x 16."""
    settings = dict(dict(arch=dict(embed_dim=16, depth=depth, num_heads=2), img_size=16, patch_size=4), **settings)
    return ViT(**settings)


def enlarge(model: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter values that have an effect, zeros and ones included; the same for each parameter's name."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(crc32(name.encode()))) * 0.3
            parameter.copy_(values + 1 if name.endswith('weight') and parameter.ndim == 1 else values)
    return model


def save_photo(path: Path, seed: int = 0, size: tuple[int, int] = (40, 32), mode: str = 'RGB') -> Path:
    """A noisy photo of ``size`` (width, height), in a format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def photo_folder(folder: Path, count: int = 8) -> Path:
    """A folder of ``count`` photos."""
    for number in range(count):
        save_photo(folder / f'photo{number}.png', number)
    return folder


def pretraining(photos: Path, work_dir: Path, *hooks: dict, **changes) -> Config:
    """The config of a pre-training that takes a moment: with eight photos, three epochs of two batches of two."""
    dataset = dict(type='Photos', data_root=str(photos), img_size=16, hold_out=0.5)
    loader = dict(batch_size=2, num_workers=0, collate_fn=dict(type='mae_transfer.collate_photos'))
    return Config(
        dict(
            dict(
                default_scope='mae_transfer',
                work_dir=str(work_dir),
                model=dict(
                    type='MAE',
                    data_preprocessor=dict(type='PhotoPreprocessor'),
                    vit=dict(type='ViT', arch=dict(embed_dim=16, depth=1, num_heads=2), img_size=16, patch_size=4),
                    masking=dict(type='RandomMasking', ratio=0.75),
                    decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
                    target=dict(type='NormalizedPixelTarget'),
                ),
                train_dataloader=dict(
                    loader, sampler=dict(type='SeededSampler', shuffle=True), dataset=dict(dataset, split='train')
                ),
                val_dataloader=dict(
                    loader, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(dataset, split='val')
                ),
                val_evaluator=dict(type='ReconstructionLoss'),
                optim_wrapper=dict(
                    type='AutocastOptimWrapper',
                    dtype='float32',
                    constructor='LayerDecayOptimWrapperConstructor',
                    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05, fused=True),
                ),
                train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=3),
                val_cfg=dict(),
                default_hooks=dict(
                    logger=dict(type='LoggerHook', interval=1), checkpoint=dict(type='CheckpointHook', interval=1)
                ),
                custom_hooks=list(hooks),
                visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
                experiment_name=str(work_dir).replace('/', '_'),  # MMEngine keeps its loggers by this name
                log_level='WARNING',
                randomness=dict(seed=0),
            ),
            **changes,
        )
    )


def forget_instances(owners=(MMLogger, MessageHub, Visualizer, DefaultScope)) -> None:
    """MMEngine keeps one instance of each name; each class, and so each library's visualizer, keeps its own."""
    for owner in owners:
        owner._instance_dict.clear()
        forget_instances(owner.__subclasses__())
