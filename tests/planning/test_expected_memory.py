"""The expected memory of a step: against the live bytes of a real one, linear in the batch, and what it is made of."""

from __future__ import annotations

import copy

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.planning.expected_memory import ExpectedMemory
from mae_transfer.planning.fake_step import fake_step, image_flops
from mae_transfer.planning.fitting import checkpointed
from mae_transfer.planning.live_bytes import LiveBytes
from mae_transfer.planning.losses import leaves_out_heads
from mae_transfer.planning.training import Training, build_model
from mae_transfer.settings import read_config
from tests.helpers import pretraining
from tests.tools.commands import REPOSITORY

SMALL = {
    'mae_pretrain_vitb': ['arch=48x2x2', 'image_size=64', 'model.decoder.embed_dim=32', 'model.decoder.depth=1'],
    'in1k_finetune_vitb': ['arch=48x2x2', 'image_size=64', 'model.num_classes=5'],
    'beit_pretrain_vitb': ['arch=48x2x2', 'image_size=64'],
    'mocov3_pretrain_vitb': ['arch=48x2x2', 'image_size=64'],
    'ade20k_upernet_vitb': ['arch=48x4x2', 'crop_size=64'],
}


def config(name: str):
    return read_config(REPOSITORY / 'configs' / f'{name}.py', SMALL[name])


def real_peak(cfg, batch: int, accumulates: bool) -> int:
    """Live bytes of real tensors at the peak of the second step."""
    live, model = LiveBytes(), build_model(cfg)
    training = Training(cfg, model, batch)
    live.count([*model.parameters(), *model.buffers(), training.images])
    with live:
        for number in range(2):
            for _ in range(1 + accumulates):
                training.forward_and_backward()
            training.wrapper.step()
            training.wrapper.zero_grad()
            if number == 0:
                live.take_moments()
    return max(live.moments)


@pytest.mark.parametrize('accumulates', [False, True])
@pytest.mark.parametrize('name', ['mae_pretrain_vitb', 'in1k_finetune_vitb'])
def test_fake_tensors_take_what_real_ones_take(name, accumulates):
    cfg = config(name)
    expected = ExpectedMemory(cfg, 'cpu')
    for batch in (2, 6):
        # Numbers of Python's, such as the steps of AdamW, are tensors of 4 bytes on one side only.
        assert expected.peak(batch, accumulates) == pytest.approx(real_peak(cfg, batch, accumulates), rel=0.01)


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize('name', SMALL)
def test_every_moment_is_linear_in_the_batch(name, device):
    """So that the peak of a large batch follows from two small ones."""
    cfg = config(name)
    expected, step = ExpectedMemory(cfg, device), fake_step(cfg, 32, device)
    found = expected.peak(32)
    direct = max(*step.first_pass, *step.update)
    if name == 'ade20k_upernet_vitb':  # tiles stop to grow
        assert direct * 0.999 <= found <= direct * 1.15
    else:
        assert found == pytest.approx(direct, rel=1e-3)
    assert expected.peak(32, accumulates=True) >= found


def test_the_parts_of_the_memory():
    cfg = config('mae_pretrain_vitb')
    model, expected = build_model(cfg), ExpectedMemory(cfg, 'cuda')
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    assert expected.weights == sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    assert expected.gradients == pytest.approx(trained, abs=64)
    assert expected.state == pytest.approx(2 * trained, rel=0.01)  # AdamW's two averages
    alone = expected.peak(8)
    assert expected.peak(8, processes=2) == alone
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel')  # buckets beside the gradients
    assert ExpectedMemory(cfg, 'cuda').peak(8, processes=2) == alone + expected.gradients


def test_a_moving_average_of_the_weights_is_counted():
    cfg = config('in1k_finetune_vitb')
    averaged = copy.deepcopy(cfg)
    averaged.custom_hooks = [dict(type='EMAHook')]
    one, other = (ExpectedMemory(c, 'cuda') for c in (cfg, averaged))
    assert other.peak(4) - one.peak(4) == one.weights


def test_checkpointing_needs_less_memory_and_more_flops():
    cfg = config('mae_pretrain_vitb')
    changed = checkpointed(cfg)
    assert ExpectedMemory(changed, 'cuda').peak(64) < ExpectedMemory(cfg, 'cuda').peak(64)
    assert image_flops(changed) > 1.02 * image_flops(cfg)


def test_a_detector_counts_its_pyramid():
    options = ['arch=48x4x2', 'image_size=64']
    cfg = read_config(REPOSITORY / 'configs' / 'coco_vitdet_vitb.py', options)
    expected = ExpectedMemory(cfg, 'cuda')
    assert leaves_out_heads(cfg) and not leaves_out_heads(config('ade20k_upernet_vitb'))
    assert expected.weights > 30e6  # the heads'
    assert expected.peak(64) > expected.peak(2) + 30e6


def test_other_models_are_refused():
    cfg = read_config(REPOSITORY / 'configs' / 'tokenizer_dvae.py')
    with pytest.raises(UserError, match='has no ViT of ours'):
        ExpectedMemory(cfg, 'cpu').peak(2)


def test_nothing_of_the_process_changes(tmp_path):
    cfg = pretraining(tmp_path, tmp_path / 'run')
    before, dumped = torch.get_rng_state(), cfg.dump()
    ExpectedMemory(cfg, 'cuda').peak(4)
    assert torch.equal(torch.get_rng_state(), before) and cfg.dump() == dumped
    assert torch.zeros(2).is_cuda is False and not torch.is_autocast_enabled('cpu')
