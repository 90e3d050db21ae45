"""Numbers that are read later."""

import pytest
import torch

from mae_transfer.runs.host_copy import HostCopy


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_it_is_the_number_of_the_time_of_the_copy(device):
    if device == 'cuda' and not torch.cuda.is_available():
        pytest.skip('needs a GPU')
    value = torch.tensor([2.5], device=device)
    copy = HostCopy(value)
    assert copy.is_there == (device == 'cpu')
    value.add_(1)
    assert copy.read() == 2.5


def test_it_keeps_no_graph():
    weight = torch.ones((), requires_grad=True)
    assert HostCopy(weight * 2).read() == 2
