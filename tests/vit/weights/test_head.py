"""The head of a linear probe without its batch norm is the same classifier."""

import pytest
import torch

from mae_transfer.errors import CheckpointError
from mae_transfer.vit.weights.checkpoint import read_weights
from mae_transfer.vit.weights.head import fold_head_norm, why_no_head
from mae_transfer.vit.weights.layouts import from_canonical
from tests.vit.weights.test_checkpoint import small_vit


def probe(affine: bool = False) -> tuple[torch.nn.Module, dict]:
    norm, linear = torch.nn.BatchNorm1d(8, eps=1e-6, affine=affine), torch.nn.Linear(8, 3)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    norm.running_mean.normal_()
    norm.running_var.uniform_(1e-3, 4)
    state = {f'head_norm.{name}': value for name, value in norm.state_dict().items()}
    state |= {f'head.{name}': value for name, value in linear.state_dict().items()}
    return torch.nn.Sequential(norm, linear).eval(), state


@pytest.mark.parametrize('affine', [False, True])
def test_the_folded_head_gives_the_same_logits(affine):
    model, state = probe(affine)
    folded = fold_head_norm(state)
    assert list(folded) == ['head.weight', 'head.bias']
    x = torch.randn(50, 8)
    model = model.double()
    found = torch.nn.functional.linear(x.double(), folded['head.weight'].double(), folded['head.bias'].double())
    torch.testing.assert_close(found, model(x.double()), rtol=1e-6, atol=1e-6)
    plain = torch.nn.functional.linear(x.double(), state['head.weight'].double(), state['head.bias'].double())
    assert (plain - found).abs().max() > 0.1


def test_a_head_without_norm_stays_and_a_norm_without_head_goes():
    _, state = probe()
    head = {name: value for name, value in state.items() if name.startswith('head.')}
    assert all(fold_head_norm(head)[name] is value for name, value in head.items())
    assert fold_head_norm({name: value for name, value in state.items() if name not in head}) == {}


@pytest.mark.parametrize('name', ['head.bias', 'head_norm.running_mean', 'head_norm.running_var'])
def test_an_incomplete_head_is_refused(name):
    _, state = probe()
    del state[name]
    with pytest.raises(CheckpointError, match=f"follows a batch norm, but '{name}' is not there"):
        fold_head_norm(state)


def test_only_transformers_has_no_average_pooling():
    averaged = {'fc_norm.weight': torch.ones(1), 'head.weight': torch.ones(1, 1)}
    assert 'averages the patches' in why_no_head(averaged, 'hf')
    assert not why_no_head(averaged, 'timm') and not why_no_head({'head.weight': torch.ones(1, 1)}, 'hf')


def test_a_linear_probe_of_mmpretrain_is_read_with_its_norm():
    _, state = probe()
    names = {'head_norm': 'neck.bn', 'head': 'head.layers.head'}
    file = {name.replace(part, names[part]): value for name, value in state.items() for part in [name.split('.')[0]]}
    file |= from_canonical(small_vit().state_dict(), None, 'mmpretrain')
    weights = read_weights(file)
    assert set(weights.head) == set(state) and weights.decoder is None and not weights.other
