"""The head of a linear probe without its batch norm is the same classifier."""

import pytest
import torch

from mae_transfer.errors import CheckpointError
from mae_transfer.vit.head import fold_head_norm, why_no_head


def probe(width: int = 8, classes: int = 3) -> tuple[torch.nn.Module, dict]:
    norm, linear = torch.nn.BatchNorm1d(width, eps=1e-6, affine=False), torch.nn.Linear(width, classes)
    norm.running_mean.normal_()
    norm.running_var.uniform_(1e-3, 4)
    state = {f'head_norm.{name}': value for name, value in norm.state_dict().items()}
    state |= {f'head.{name}': value for name, value in linear.state_dict().items()}
    return torch.nn.Sequential(norm, linear).eval(), state


def test_the_folded_head_gives_the_same_logits():
    model, state = probe()
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
