"""PCA coefficients as a target; the basis is compared with a singular value decomposition of all patches."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.pretraining import MAE, PCATarget
from mae_transfer.registry import MODELS
from mae_transfer.vit.patches import flatten_patches, join_patches, take_patches
from mae_transfer.whole_model import load_whole_model
from tests.helpers import pretraining

PATCH = 4


def photos(count: int = 40, size: tuple[int, int] = (16, 12)) -> torch.Tensor:
    """Images whose patches vary much more in some directions than in others."""
    generator = torch.Generator().manual_seed(3)
    coarse = (
        torch.randn(count, 3, size[0] // 4, size[1] // 4, generator=generator)
        .repeat_interleave(4, 2)
        .repeat_interleave(4, 3)
    )
    return coarse + 0.4 * torch.randn(count, 3, *size, generator=generator) * torch.linspace(0.2, 1.0, size[1]) + 0.7


def fitted(images: torch.Tensor, components: int, batches: list[int] | None = None) -> tuple[PCATarget, float]:
    """A target fitted to the images, and the share of the variance that it explains."""
    target = PCATarget(components)
    target.dim(PATCH, images.shape[1])
    total = sum(target.statistics(part) for part in images.split(batches or len(images)))
    return target, target.fit(total)


@pytest.fixture(scope='module')
def decomposed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, components (rows, by decreasing variance) and variances of all patches of :func:`photos`, all at once."""
    patches = flatten_patches(take_patches(photos(), PATCH)).flatten(0, 1).double()
    mean = patches.mean(dim=0)
    _, values, components = torch.linalg.svd(patches - mean, full_matrices=False)
    return mean, components, values.square() / len(patches)


@pytest.mark.parametrize('components', [1, 7, 48])
def test_the_basis_is_that_of_the_decomposition_of_all_patches(decomposed, components):
    mean, rows, variances = decomposed
    target, share = fitted(photos(), components)
    basis = target.basis.double()
    assert_close(target.mean.double(), mean, rtol=0, atol=1e-6)
    assert_close(basis.T @ basis, torch.eye(components, dtype=torch.float64), rtol=0, atol=1e-5)
    # Each component is one of the decomposition, up to its sign.
    assert_close((basis.T @ rows[:components].T).abs(), torch.eye(components, dtype=torch.float64), rtol=0, atol=1e-4)
    assert share == pytest.approx((variances[:components].sum() / variances.sum()).item(), rel=1e-9)


def test_coefficients_have_the_variances_of_the_components_and_are_not_whitened(decomposed):
    target, _ = fitted(photos(), 7)
    found = target(photos(), PATCH).flatten(0, 1).double()
    assert_close(found.mean(dim=0), torch.zeros(7, dtype=torch.float64), rtol=0, atol=1e-5)
    assert_close(found.var(dim=0, correction=0), decomposed[2][:7], rtol=1e-4, atol=1e-6)
    assert decomposed[2][0] > 3 * decomposed[2][6]


@pytest.mark.parametrize(
    'batches', [[1] * 40, [7, 33], [13, 13, 13, 1]], ids=['one by one', 'two processes', 'in four batches']
)
def test_the_basis_does_not_depend_on_how_the_photos_are_split(batches):
    whole, share = fitted(photos(), 9)
    parts, share_of_parts = fitted(photos(), 9, batches)
    assert_close(parts.basis, whole.basis, rtol=0, atol=1e-6)
    assert_close(parts.mean, whole.mean, rtol=0, atol=1e-6)
    assert share == pytest.approx(share_of_parts, rel=1e-12)


@pytest.mark.parametrize('sizes', [[40], [13, 13, 13, 1]])
def test_preparing_fits_to_all_batches_and_needs_no_more_images(sizes):
    expected, share = fitted(photos(), 9)
    target = PCATarget(9, max_images=40)
    target.dim(PATCH, 3)
    assert target.images_needed == 40
    with mock.patch('mae_transfer.pretraining.pca_target.print_log') as log:
        target.prepare(iter(photos().split(sizes)))
    assert target.ready and target.images_needed == 0
    assert_close(target.basis, expected.basis, rtol=0, atol=1e-6)
    assert log.call_args.args == (
        f'PCATarget: fitted to 480 patches; 9 of 48 components explain {100 * share:.2f} % of the variance',
    )


def one_of_two(rank: int, folder, share: int) -> None:
    """A process of two, whose images are the first ``share`` or the rest; it saves its basis."""
    torch.set_num_threads(1)  # threads do not survive a fork
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    target = PCATarget(9)
    target.dim(PATCH, 3)
    own = photos()[:share] if rank == 0 else photos()[share:]
    target.prepare(iter(own.split(7)) if len(own) else iter(()))
    torch.save(dict(basis=target.basis, mean=target.mean), folder / f'{rank}.pt')
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('share', [17, 40], ids=['both have images', 'one has none'])
def test_two_processes_end_with_the_basis_of_all_images(tmp_path, share):
    expected, _ = fitted(photos(), 9)
    torch.multiprocessing.start_processes(one_of_two, (tmp_path, share), nprocs=2, start_method='fork')
    first, second = (torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in range(2))
    assert_close(first['basis'], expected.basis, rtol=0, atol=1e-6)
    assert_close(first['mean'], expected.mean, rtol=0, atol=1e-6)
    assert torch.equal(first['basis'], second['basis']) and torch.equal(first['mean'], second['mean'])


def test_the_largest_entry_of_each_component_is_positive():
    target, _ = fitted(photos(), 48)
    assert (target.basis.gather(0, target.basis.abs().argmax(dim=0, keepdim=True)) > 0).all()


@pytest.mark.parametrize('channels', [1, 3])
def test_with_all_components_nothing_is_lost(channels):
    images = photos()[:, :channels]
    target, share = fitted(images, 16 * channels)
    assert share == pytest.approx(1.0)
    assert_close(
        join_patches(target.to_pixels(target(images, PATCH), images, PATCH), (4, 3)), images, rtol=1e-4, atol=1e-4
    )


def test_with_some_components_the_rest_of_the_variance_is_lost(decomposed):
    images = photos()
    target, _ = fitted(images, 7)
    lost = target.to_pixels(target(images, PATCH), images, PATCH) - take_patches(images, PATCH)
    assert lost.square().mean().item() == pytest.approx(decomposed[2][7:].sum().item() / 48, rel=1e-4)


def test_the_target_of_chosen_patches_is_that_part_of_all():
    target, _ = fitted(photos(), 7)
    images, index = photos()[:2], torch.tensor([[5, 0, 11], [1, 1, 3]])
    everything = target(images, PATCH)
    assert everything.shape == (2, 12, 7)
    assert_close(target(images, PATCH, index), everything.gather(1, index[..., None].expand(-1, -1, 7)))


def test_target_loss_and_pixels_are_float32_under_autocast():
    images = photos()[:2]
    target, _ = fitted(photos(), 7)
    plain, prediction = target(images, PATCH), torch.randn(2, 12, 7).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        found, losses, pixels = (
            target(images, PATCH),
            target.loss(prediction, plain),
            target.to_pixels(prediction, images, PATCH),
        )
    assert found.dtype == losses.dtype == pixels.dtype == torch.float32
    assert_close(found, plain, rtol=0, atol=0)
    assert_close(losses, (prediction.float() - plain).square().mean(dim=(1, 2)))


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(components=49), 'components 49 is more than the 48 values of a patch of 4 x 4 x 3: choose 48 or fewer'),
        (dict(components=0), 'components and PCATarget.max_images must be 1 or more; found 0 and'),
        (dict(max_images=0), 'components and PCATarget.max_images must be 1 or more; found 96 and 0'),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        PCATarget(**settings).dim(PATCH, 3)


def test_a_target_without_a_basis_refuses_to_be_used():
    target = PCATarget(7)
    target.dim(PATCH, 3)
    for use in (lambda: target(photos(), PATCH), lambda: target.to_pixels(torch.zeros(1, 12, 7), photos(1), PATCH)):
        with pytest.raises(UserError, match="has no basis yet: add dict\\(type='FitTargetHook'\\) to custom_hooks"):
            use()


@pytest.mark.parametrize(
    'images, words',
    [
        (photos(1, (4, 8)), 'needs more patches than its 7 components; found 2: give more images'),
        (torch.full((9, 3, 16, 12), 0.5), 'found no variance in 108 patches'),
    ],
    ids=['few', 'flat'],
)
def test_images_that_give_no_basis_are_refused(images, words):
    with pytest.raises(UserError, match=words):
        fitted(images, 7)


def test_a_checkpoint_contains_the_basis(tmp_path):
    cfg = pretraining(tmp_path, tmp_path)
    settings = dict(cfg.model, target=dict(type='PCATarget', components=7))
    model, other = (MODELS.build(dict(settings)) for _ in range(2))
    assert isinstance(model, MAE) and model.decoder.pred.out_features == 7
    model.target.prepare([photos(size=(16, 16))])
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    load_whole_model(other, str(tmp_path / 'model.pth'))
    images = photos(3, (16, 16))
    assert other.target.ready and torch.equal(other.target(images, PATCH), model.target(images, PATCH))
    unfitted = MODELS.build(dict(settings))
    torch.save(dict(state_dict=unfitted.state_dict()), tmp_path / 'unfitted.pth')
    load_whole_model(other, str(tmp_path / 'unfitted.pth'))
    assert not other.target.ready
