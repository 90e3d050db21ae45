"""An MAE with any of the targets overfits four images: its loss falls to almost zero."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.pretraining import MAE

PATCH, SIDE, COUNT, STEPS = 4, 8, 4, 200
TARGETS = {
    'pixels': dict(type='PixelTarget'),
    'normalised pixels': dict(type='NormalizedPixelTarget'),
    'PCA': dict(type='PCATarget', components=12),
    'tokens': dict(
        type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=16, width=16, code_dim=8, num_blocks=1, stride=PATCH)
    ),
}


def images() -> torch.Tensor:
    """Photos in [0, 1] of coloured squares and some noise; no two patches are equal."""
    generator = torch.Generator().manual_seed(0)
    squares = (
        torch.rand(COUNT, 3, SIDE // 4, SIDE // 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    return 0.7 * squares + 0.3 * torch.rand(COUNT, 3, SIDE, SIDE, generator=generator)


def model_of(name: str) -> tuple[MAE, torch.Tensor]:
    """An MAE with the named target, ready to train, and the normalised photos."""
    torch.manual_seed(0)
    model = MAE(
        vit=dict(type='ViT', arch=dict(embed_dim=64, depth=1, num_heads=4), img_size=SIDE, patch_size=PATCH),
        masking=dict(type='RandomMasking', ratio=0.75),
        decoder=dict(type='MAEDecoder', embed_dim=64, depth=1, num_heads=4),
        target=TARGETS[name],
        data_preprocessor=dict(type='PhotoPreprocessor'),
    )
    photos = model.data_preprocessor.from_unit(images())
    if name == 'PCA':
        model.target.prepare([photos])
    if name == 'tokens':
        # An untrained tokenizer gives nearly the same logits everywhere; keep only the differences.
        tokenizer, model.target.ready = model.target.tokenizer, True
        tokenizer.encoder[-1].bias.data -= tokenizer.logits(images()).mean(dim=(0, 2, 3))
        assert len(model.target(photos, PATCH).unique()) >= 6  # one token everywhere would be learnt by a bias
    return model, photos


@pytest.mark.parametrize('name', TARGETS)
def test_the_loss_of_four_images_falls_to_almost_zero(name):
    (model, photos), seeds = model_of(name), torch.arange(COUNT)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(photos, seeds)['loss']  # the same seeds, so the same masks, at every step
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0], f'{losses[0]:.4g} fell to {losses[-1]:.4g}'
