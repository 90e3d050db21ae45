"""Batches on their way to the GPU."""

import pytest
import torch

from mae_transfer.runs.prefetch import moved, on_device, tensors_of


def batch(number: int) -> dict:
    return dict(inputs=[torch.full((3, 4), number), torch.ones(2)], pair=(torch.zeros(1), 'name'), skipped=['a.jpg'])


def test_all_tensors_are_moved_and_nothing_else():
    result = moved(batch(7), torch.device('meta'))
    assert [tensor.device.type for tensor in tensors_of(result)] == ['meta'] * 3
    assert result['pair'][1] == 'name' and result['skipped'] == ['a.jpg'] and isinstance(result['pair'], tuple)


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there')
def test_without_a_gpu_batches_are_what_they_were():
    batches = [batch(number) for number in range(3)]
    assert all(one is other for one, other in zip(on_device(batches), batches, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_batches_arrive_in_order_and_whole():
    loader = torch.utils.data.DataLoader(torch.arange(4096).repeat(64, 1), 8, pin_memory=True)
    for found, expected in zip(on_device(loader), loader, strict=True):
        assert found.is_cuda and torch.equal((found * 1).cpu(), expected)
