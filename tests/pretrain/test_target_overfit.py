"""An MAE with each target learns four images by heart: its loss falls to near zero."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.pretrain import MAE

PATCH, SIDE, COUNT, STEPS = 4, 8, 4, 150
MEAN, STD = (
    torch.tensor(values).view(3, 1, 1) / 255 for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
)
TARGETS = {
    'pixels': dict(type='PixelTarget'),
    'normalised pixels': dict(type='NormalizedPixelTarget'),
    'PCA': dict(type='PCATarget', components=12),
    'tokens': dict(
        type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=16, width=16, code_dim=8, num_blocks=1, stride=PATCH)
    ),
}


def images() -> torch.Tensor:
    """Normalised photos of coloured squares and some noise; no two patches are alike."""
    generator = torch.Generator().manual_seed(0)
    squares = (
        torch.rand(COUNT, 3, SIDE // 4, SIDE // 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    return (0.7 * squares + 0.3 * torch.rand(COUNT, 3, SIDE, SIDE, generator=generator) - MEAN) / STD


def model_of(name: str, photos: torch.Tensor) -> MAE:
    torch.manual_seed(0)
    model = MAE(
        vit=dict(type='ViT', arch=dict(embed_dim=64, depth=1, num_heads=4), img_size=SIDE, patch_size=PATCH),
        masking=dict(type='RandomMasking', ratio=0.75),
        decoder=dict(type='MAEDecoder', embed_dim=64, depth=1, num_heads=4),
        target=TARGETS[name],
    )
    if name == 'PCA':
        model.target.fit(model.target.statistics(photos, PATCH))
    if name == 'tokens':
        # An untrained tokenizer says nearly the same everywhere; what differs is left.
        tokenizer, model.target.ready = model.target.tokenizer, True
        tokenizer.encoder[-1].bias.data -= tokenizer.logits(photos * STD + MEAN).mean(dim=(0, 2, 3))
        assert len(model.target(photos, PATCH).unique()) >= 6  # one token everywhere would be learnt by a bias
    return model


@pytest.mark.parametrize('name', TARGETS)
def test_the_loss_of_four_images_falls_to_near_zero(name):
    photos, seeds = images(), torch.arange(COUNT)
    model = model_of(name, photos)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(photos, seeds)['loss']  # the same masks at every step, by the seeds
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0], f'{losses[0]:.4g} fell to {losses[-1]:.4g}'
