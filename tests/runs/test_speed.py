"""FLOPs of a step, time that is waited for data, rate of matrix products."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mae_transfer.experiments.flops import count_flops
from mae_transfer.pretraining import MAE
from mae_transfer.runs import speed
from mae_transfer.runs.speed import FlopCount, WaitingTime, matrix_rate, peak_memory

MODEL = dict(
    data_preprocessor=dict(type='PhotoPreprocessor'),
    vit=dict(type='ViT', arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8),
    masking=dict(type='RandomMasking', ratio=0.75),
    decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
    target=dict(type='NormalizedPixelTarget'),
)


def test_the_forward_pass_of_an_mae_is_what_is_counted_without_computing():
    mae, images = MAE(**MODEL), torch.randn(3, 3, 32, 32)
    with torch.no_grad(), FlopCount() as count:
        mae(images, mode='loss')
    assert count.flops == 3 * count_flops(dict(type='MAE', **MODEL))['total'] > 0


def test_the_backward_pass_of_linear_layers_counts_twice_but_for_the_inputs():
    model, inputs = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4)), torch.randn(5, 8)
    with FlopCount() as count:
        outputs = model(inputs)
        forward = count.flops
        outputs.sum().backward()
    first, second = 2 * 5 * 8 * 16, 2 * 5 * 16 * 4
    assert (forward, count.flops) == (first + second, 2 * first + 3 * second)


def test_attention_counts_wherever_it_is_computed():
    queries, keys, values = (torch.randn(2, 3, 7, 4, requires_grad=True) for _ in range(3))
    with FlopCount() as count:
        result = F.scaled_dot_product_attention(queries, keys, values)
        forward = count.flops
        result.sum().backward()
    products = 2 * 2 * 3 * 7 * 7 * 4
    assert forward == 2 * products and count.flops >= 6 * products  # torch's count has the scores computed again


def test_waiting_is_what_batches_take():
    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    waiting = WaitingTime('cpu')
    started = time.perf_counter()
    for _ in waiting.timed(slow()):
        time.sleep(0.03)
    whole = time.perf_counter() - started
    waited = waiting.take()
    assert 0.06 <= waited <= whole - 0.09 and waiting.take() == 0


def test_on_a_gpu_it_is_the_time_between_two_events(monkeypatch):
    """A GPU that is busy to 5 s: a batch that is there before costs nothing, one at 8 s costs 3 s."""
    clock = [0.0]

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.at = None

        def record(self):
            self.at = max(5.0, clock[0])

        def synchronize(self):
            assert self.at is not None

        def elapsed_time(self, end):
            return 1000 * (end.at - self.at)

    monkeypatch.setattr(speed, 'torch', SimpleNamespace(device=torch.device, cuda=SimpleNamespace(Event=Event)))

    def batches():
        for clock[0] in (2.0, 8.0):
            yield clock[0]

    waiting = WaitingTime('cuda')
    assert list(waiting.timed(batches())) == [2.0, 8.0]
    assert waiting.take() == 3 and waiting.take() == 0


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_the_rate_of_matrix_products_is_measured_once(dtype):
    state = torch.get_rng_state()
    first, started = matrix_rate('cpu', dtype), time.process_time()
    assert matrix_rate('cpu', dtype) == first > 1e8 and time.process_time() - started < 0.01
    assert torch.equal(torch.get_rng_state(), state)


def test_the_peak_of_memory_is_that_of_this_process():
    before = peak_memory()
    block = torch.ones(2**26)  # 256 MB
    assert block[-1] == 1 and 100 < before <= peak_memory() and peak_memory() > 256
