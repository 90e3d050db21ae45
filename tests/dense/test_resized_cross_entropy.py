"""The cross entropy of resized logits, tile by tile, against PyTorch's on the resized logits themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.dense import resized_cross_entropy as module
from mae_transfer.dense.resized_cross_entropy import resized_cross_entropy


def example(batch, classes, grid, size, seed=0, ignored=0.2, dtype=torch.float32):
    """Random logits, and labels of which a share is ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(batch, classes, *grid, generator=generator)).to(dtype).requires_grad_()
    labels = torch.randint(classes, (batch, *size), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
    return logits, labels


def by_definition(logits, labels, weight=None, align_corners=False, dtype=torch.float64):
    """The same sums from the resized logits."""
    resized = F.interpolate(logits.to(dtype), labels.shape[1:], mode='bilinear', align_corners=align_corners)
    weight = None if weight is None else weight.to(dtype)
    loss = F.cross_entropy(resized, labels, weight, ignore_index=255, reduction='sum')
    is_labelled = labels != 255
    correct = ((resized.argmax(1) == labels) & is_labelled).sum()
    return loss, (torch.ones(logits.shape[1]) if weight is None else weight)[labels[is_labelled]].sum(), correct


def check(logits, labels, weight=None, align_corners=False, rtol=1e-6, gradient_rtol=1e-5):
    ours = resized_cross_entropy(logits, labels, weight, align_corners=align_corners)
    loss, of_weights, correct = by_definition(logits, labels, weight, align_corners)
    (of_ours,) = torch.autograd.grad(ours.loss, logits)
    (of_definition,) = torch.autograd.grad(loss, logits)
    assert abs(ours.loss.item() - loss.item()) <= rtol * loss.abs().item()
    assert of_ours.dtype == logits.dtype
    assert (of_ours - of_definition).abs().max() <= gradient_rtol * of_definition.abs().max()
    assert ours.weight.item() == pytest.approx(of_weights.item(), rel=1e-6)
    assert ours.correct == correct and ours.labelled == (labels != 255).sum()


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    classes=st.integers(2, 9),
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    ignored=st.sampled_from([0.0, 0.3, 1.0]),
    weighted=st.booleans(),
    align_corners=st.booleans(),
    tile=st.sampled_from([1, 1000, 5000, 1 << 22]),
    seed=st.integers(0, 99),
)
def test_it_is_the_definition_at_any_size_and_in_any_tiles(
    batch, classes, grid, size, ignored, weighted, align_corners, tile, seed
):
    """Enlarged or made smaller; in float64, in which rounding hides nothing."""
    logits, labels = example(batch, classes, grid, size, seed, ignored, torch.float64)
    weight = torch.rand(classes, generator=torch.Generator().manual_seed(seed)) if weighted else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'CPU_TILE', tile)
        check(logits, labels, weight, align_corners, rtol=1e-7, gradient_rtol=2e-6)


@pytest.mark.parametrize('grid, size', [((32, 32), (128, 128)), ((8, 8), (128, 128)), ((20, 13), (77, 150))])
def test_float32_is_as_exact_as_it_can_be(grid, size):
    logits, labels = example(2, 150, grid, size)
    check(logits, labels)
    check(logits, labels, torch.rand(150))


def test_without_a_labelled_pixel_all_is_zero():
    logits, labels = example(2, 5, (4, 4), (16, 16), ignored=1.0)
    sums = resized_cross_entropy(logits, labels)
    sums.loss.backward()
    assert sums == (0, 0, 0, 0) and not logits.grad.any()


def test_bfloat16_is_computed_in_float32_under_autocast_too():
    """Resized in bfloat16, as PyTorch would, the loss differs by a thousandth; here not at all from float32."""
    logits, labels = example(2, 20, (16, 16), (64, 64), dtype=torch.bfloat16)
    exact = resized_cross_entropy(logits.detach().float(), labels).loss
    with torch.autocast('cpu', torch.bfloat16):
        sums = resized_cross_entropy(logits, labels)
    assert sums.loss.dtype == torch.float32 and torch.equal(sums.loss, exact)
    resized = by_definition(logits, labels, dtype=torch.bfloat16)[0]
    assert 0 < abs(resized.float() / exact - 1) < 5e-3
    (gradient,) = torch.autograd.grad(sums.loss, logits)
    assert gradient.dtype == torch.bfloat16


def test_the_gradient_follows_what_is_done_with_the_loss():
    logits, labels = example(1, 5, (4, 4), (16, 16))
    (once,) = torch.autograd.grad(resized_cross_entropy(logits, labels).loss, logits)
    (scaled,) = torch.autograd.grad(-3 * resized_cross_entropy(logits, labels).loss, logits)
    torch.testing.assert_close(scaled, -3 * once)
    assert not resized_cross_entropy(logits.detach(), labels).loss.requires_grad


def test_a_tie_counts_as_correct():
    sums = resized_cross_entropy(torch.zeros(1, 3, 2, 2), torch.tensor([[[0, 1, 2, 255]] * 4]))
    assert sums.correct == 12


def test_a_label_that_is_no_class_is_an_error():
    logits, labels = example(1, 5, (4, 4), (16, 16))
    labels[0, 3, 3] = 5
    with pytest.raises(RuntimeError, match='out of bounds'):
        resized_cross_entropy(logits, labels)


def test_the_resized_logits_are_never_whole(monkeypatch):
    """No tensor is larger than a tile, or than the logits themselves."""
    monkeypatch.setattr(module, 'CPU_TILE', 40_000)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            sizes.append(result.nbytes if isinstance(result, torch.Tensor) else 0)
            return result

    logits, labels = example(2, 50, (8, 8), (64, 64))
    with Watch():
        resized_cross_entropy(logits, labels).loss.backward()
    assert max(sizes) <= max(40_000, logits.nbytes, labels.nbytes)
    assert 2 * 50 * 64 * 64 * 4 > 10 * max(sizes)
