"""Every part of a design (mae_transfer/vit/design.py) within MAE pre-training."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from mae_transfer.vit.design import DESIGNS, MLPS, PLAIN, QKV_BIASES, ROTARY_KINDS, Design
from tests.pretraining.test_mae import small_mae

#: Values of each field beside the plain ViT's.
CHANGES = dict(
    registers=[2],
    absolute_positions=[False],
    rotary=ROTARY_KINDS,
    patch_bias=[False],
    pre_norm=[True],
    norm_eps=[1e-5],
    qkv_bias=[bias for bias in QKV_BIASES if bias != 'qkv'],
    qk_norm=[True],
    attention_norm=[True],
    mlp=[mlp for mlp in MLPS if mlp != 'gelu'],
    mlp_norm=[True],
    layer_scale=[1e-5],
)
ALL_DESIGNS = [dict({name: value}) for name, values in CHANGES.items() for value in values] + list(DESIGNS)


def test_all_fields_are_tried():
    assert set(CHANGES) == {field.name for field in fields(Design)}
    for name, values in CHANGES.items():
        assert getattr(PLAIN, name) not in values


@pytest.mark.parametrize('encoder_mask_tokens', [False, True], ids=['MAE', 'mask tokens in the encoder'])
@pytest.mark.parametrize('design', ALL_DESIGNS, ids=str)
def test_every_trained_parameter_has_a_gradient(design, encoder_mask_tokens):
    model = small_mae(vit=dict(design=design), encoder_mask_tokens=encoder_mask_tokens)
    images = torch.randn(2, 3, 32, 32)
    loss = sum(model.loss(images, None).values()) if hasattr(model, 'loss') else model(images, mode='loss')['loss']
    loss.backward()
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
