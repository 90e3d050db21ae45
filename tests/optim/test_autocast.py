"""Mixed precision, accumulation and the loss scale."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.optim import AutocastOptimWrapper
from mae_transfer.registry import OPTIM_WRAPPERS
from tests.helpers import small_vit


def wrap(model: nn.Module, dtype: str = 'bfloat16', lr: float = 0.1, **settings) -> AutocastOptimWrapper:
    return AutocastOptimWrapper(dtype, optimizer=torch.optim.SGD(model.parameters(), lr=lr), **settings)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16', 'float32'])
def test_layers_run_in_the_chosen_dtype_and_parameters_stay_float32(dtype):
    model, seen = small_vit(), []
    model.blocks[0].attn.qkv.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    wrapper = wrap(model, dtype)
    with wrapper.optim_context(model):
        loss = model.tokens(torch.randn(2, 3, 16, 16)).float().square().mean()
    wrapper.update_params(loss)
    assert seen == [getattr(torch, dtype)]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_autocast_ends_with_the_context():
    model = nn.Linear(2, 2)
    with wrap(model).optim_context(model):
        pass
    assert model(torch.randn(1, 2)).dtype == torch.float32


def test_bfloat16_is_the_default():
    model = nn.Linear(2, 2)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='AutocastOptimWrapper', optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    )
    assert wrapper.dtype is torch.bfloat16


def test_an_unknown_dtype_is_refused():
    with pytest.raises(UserError, match="bfloat16, float16, float32; found 'bf16'"):
        wrap(nn.Linear(2, 2), 'bf16')


def step(model: nn.Module, wrapper: AutocastOptimWrapper, images: torch.Tensor, factor: float = 1.0) -> None:
    with wrapper.optim_context(model):
        loss = model(images).float().square().mean() * factor
    wrapper.update_params(loss)


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 4)


def test_float32_is_plain_training():
    images = torch.randn(8, 4)
    ours, plain = linear(), linear()
    step(ours, wrap(ours, 'float32'), images)
    plain(images).square().mean().backward()
    for one, other in zip(ours.parameters(), plain.parameters()):
        torch.testing.assert_close(one.detach(), other.detach() - 0.1 * other.grad, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('dtype, tolerance', [('float32', 1e-6), ('bfloat16', 2e-2), ('float16', 3e-3)])
def test_accumulating_two_halves_of_a_batch_gives_the_step_of_the_whole(dtype, tolerance):
    images = torch.randn(8, 4)
    halves, whole = linear(), linear()
    before = halves.weight.clone()
    wrapper = wrap(halves, dtype, accumulative_counts=2)
    step(halves, wrapper, images[:4])
    assert torch.equal(halves.weight, before)
    step(halves, wrapper, images[4:])
    step(whole, wrap(whole, 'float32'), images)
    moved = (whole.weight - before).abs().max()
    assert moved > 0.01
    assert (halves.weight - whole.weight).abs().max() < tolerance * moved


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_gradients_are_exchanged_only_in_the_last_pass_of_an_accumulation(dtype):
    class Parallel(nn.Module):
        def __init__(self):
            super().__init__()
            self.module, self.quiet, self.exchanged = linear(), False, []

        def forward(self, x):
            self.exchanged.append(not self.quiet)
            return self.module(x)

        @contextmanager
        def no_sync(self):
            self.quiet = True
            yield
            self.quiet = False

    model = Parallel()
    wrapper = wrap(model, dtype, accumulative_counts=3)
    for _ in range(6):
        step(model, wrapper, torch.randn(2, 4))
    assert model.exchanged == [False, False, True] * 2


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_clipping_acts_on_the_unscaled_gradient(dtype):
    model = linear()
    before = [parameter.clone() for parameter in model.parameters()]
    step(model, wrap(model, dtype, lr=1.0, clip_grad=dict(max_norm=0.01)), torch.randn(8, 4))
    moved = torch.cat([(one - other).flatten() for one, other in zip(model.parameters(), before)]).norm().item()
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_a_float16_step_that_overflows_is_skipped_and_halves_the_scale():
    model = linear()
    wrapper, before = wrap(model, 'float16'), model.weight.clone()
    scale = wrapper.scaler.get_scale()
    step(model, wrapper, torch.randn(8, 4), factor=1e38)
    assert torch.equal(model.weight, before)
    assert wrapper.scaler.get_scale() == scale / 2
    step(model, wrapper, torch.randn(8, 4))
    assert not torch.equal(model.weight, before) and model.weight.isfinite().all()


def test_the_loss_scale_is_saved_and_restored(tmp_path):
    model = linear()
    wrapper = wrap(model, 'float16')
    step(model, wrapper, torch.randn(8, 4), factor=1e38)
    torch.save(wrapper.state_dict(), tmp_path / 'state.pth')
    resumed = wrap(linear(), 'float16')
    assert resumed.scaler.get_scale() != wrapper.scaler.get_scale()
    resumed.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert resumed.scaler.get_scale() == wrapper.scaler.get_scale()


@pytest.mark.parametrize('saved, resumed', [('bfloat16', 'float16'), ('float16', 'bfloat16'), ('float16', 'float32')])
def test_a_run_can_be_resumed_in_another_precision(saved, resumed):
    source, target = wrap(linear(), saved), linear()
    wrapper = wrap(target, resumed)
    wrapper.load_state_dict(source.state_dict())
    step(target, wrapper, torch.randn(8, 4))
    assert target.weight.isfinite().all()


def test_the_state_of_a_plain_wrapper_is_accepted():
    model = linear()
    state = dict(torch.optim.SGD(model.parameters(), lr=0.7).state_dict())
    wrapper = wrap(model, 'float16')
    wrapper.load_state_dict(state)
    assert wrapper.optimizer.param_groups[0]['lr'] == 0.7
