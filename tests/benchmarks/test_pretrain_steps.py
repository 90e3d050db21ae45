"""Benchmarks of pre-training steps: models take turns, and share weights of the same name and shape."""

from __future__ import annotations

import torch

from mae_transfer.benchmarks.pretrain_steps import share_weights, step_seconds
from mae_transfer.compat.package_configs import CONFIGS
from mae_transfer.pretraining import MAE
from mae_transfer.registry import MODELS
from mae_transfer.settings import change_settings, read_config


def small_mae(row: str, decoder_width: int = 16) -> MAE:
    cfg = read_config(CONFIGS / 'ablations' / f'{row}.py')
    sizes = {'vit.arch': '16x1x2', 'vit.img_size': 32, 'decoder.embed_dim': decoder_width, 'decoder.num_heads': 2}
    return MODELS.build(change_settings(cfg, [(f'model.{key}', value) for key, value in sizes.items()]).model)


def test_weights_of_the_same_name_and_shape_are_shared():
    models = [
        small_mae('table1a_decoder_depth_8'),
        small_mae('table1c_encoder_with_mask_tokens'),
        small_mae('table1a_decoder_depth_1', decoder_width=8),
    ]
    share_weights(models)
    one, other, narrow = (dict(model.named_parameters()) for model in models)
    name = 'vit.blocks.0.attn.qkv.weight'
    assert one[name] is other[name] is narrow[name]
    assert one['decoder.pred.weight'] is other['decoder.pred.weight']
    assert one['decoder.pred.weight'] is not narrow['decoder.pred.weight']
    for model in models:  # each still works by itself
        model(torch.randn(2, 3, 32, 32))['loss'].backward()


def test_models_take_turns(monkeypatch):
    models = [small_mae('table1a_decoder_depth_1'), small_mae('table1c_encoder_with_mask_tokens')]
    calls = []
    for number, model in enumerate(models):
        model.register_forward_pre_hook(lambda _, inputs, number=number: calls.append((number, inputs[0].shape)))
    times = step_seconds(models, batch=3, dtype=torch.float32, rounds=2, warm_up=1)
    assert [number for number, _ in calls] == [0, 1] * 3 and {shape for _, shape in calls} == {(3, 3, 32, 32)}
    assert [len(seconds) for seconds in times] == [2, 2] and min(map(min, times)) > 0
