"""A user's own masking, target and tokenizer, which implement only what the base classes require."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.hooks import FitTargetHook
from mae_transfer.pretraining import (
    MAE,
    Masking,
    NormalizedPixelTarget,
    PCATarget,
    PixelTarget,
    Target,
    Tokenizer,
    TokenTarget,
    seeded_noise,
)
from mae_transfer.registry import MODELS
from mae_transfer.vit.patches import take_patches

IMAGES, SEEDS = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(2)


class LeftFirst(Masking):
    """Keep the leftmost columns."""

    def noise_length(self, grid):
        return 0

    def order(self, grid, noise):
        numbers = torch.arange(grid[0] * grid[1], device=noise.device).view(grid)
        return numbers.T.flatten().expand(len(noise), -1)


class MeanColour(Target):
    """The mean colour of each patch."""

    def dim(self, patch_size, channels):
        return channels

    def forward(self, images, patch_size, index=None):
        return take_patches(images, patch_size, index).float().mean(dim=(3, 4))

    def to_pixels(self, prediction, images, patch_size, index=None):
        return prediction.float()[..., None, None].expand(-1, -1, -1, patch_size, patch_size)


class CentredColour(MeanColour):
    """The mean colour of each patch minus that of the training images, which it must be prepared with."""

    invertible = False

    def __init__(self):
        super().__init__()
        self.register_buffer('centre', torch.zeros(3))
        self.ready, self.images_needed = False, 5

    def prepare(self, batches):
        self.centre.copy_(torch.cat(list(batches)).mean(dim=(0, 2, 3)))
        self.ready, self.images_needed = True, 0

    def forward(self, images, patch_size, index=None):
        return super().forward(images, patch_size, index) - self.centre


class Brightness(Tokenizer):
    """Four tokens, from dark to bright."""

    channels, vocab_size, stride = 3, 4, 2

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(4))

    def logits(self, images):
        levels = nn.functional.avg_pool2d(images, 2).mean(dim=1, keepdim=True)
        return -(levels - self.centres[:, None, None]).square()


@pytest.fixture(autouse=True)
def registered():
    own = (LeftFirst, MeanColour, CentredColour, Brightness)
    for kind in own:
        MODELS.register_module(module=kind)
    yield
    for kind in own:
        MODELS.module_dict.pop(kind.__name__)


def mae(**parts) -> MAE:
    defaults = dict(
        vit=dict(type='ViT', arch=dict(embed_dim=16, depth=1, num_heads=2), img_size=8, patch_size=4),
        masking=dict(type='RandomMasking', ratio=0.5),
        decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
        target=dict(type='PixelTarget'),
    )
    return MAE(**{**defaults, **parts})


# --- maskings ---------------------------------------------------------------------------------------------------------
def test_a_masking_needs_only_an_order():
    masking = LeftFirst(0.5)
    mask = masking((2, 4), seeded_noise(SEEDS, 0))
    assert mask.as_image_order().view(2, 2, 4).tolist() == [[[0, 0, 1, 1]] * 2] * 2
    mae(masking=dict(type='LeftFirst', ratio=0.5))(IMAGES, SEEDS)['loss'].backward()


def test_a_masking_without_an_order_says_so():
    with pytest.raises(NotImplementedError, match='Masking must implement order'):
        Masking(0.5)((2, 4), seeded_noise(SEEDS, 8))


# --- targets ----------------------------------------------------------------------------------------------------------
def test_a_target_that_implements_the_contract_trains_and_reconstructs():
    model = mae(target=dict(type='MeanColour'))
    mask = model.mask(IMAGES, SEEDS)
    prediction, wanted = model.predict(IMAGES, mask), model.target(IMAGES, 4, mask.masked)
    loss = model(IMAGES, SEEDS)['loss']
    assert prediction.shape == wanted.shape == (2, 2, 3)
    assert loss.item() == pytest.approx((prediction - wanted).square().mean().item(), rel=1e-5)
    loss.backward()
    assert model.reconstruct(IMAGES, mask).shape == IMAGES.shape


class FakeRunner:
    """The attributes of MMEngine's runner that the hook uses, with eight photos."""

    def __init__(self, model: MAE):
        self.model, self.lines = model, []
        self.logger = self
        self.info = self.lines.append
        photos = Numbered()
        self.train_dataloader = torch.utils.data.DataLoader(photos, 2)


class Numbered(torch.utils.data.Dataset):
    """Photos of a single colour, their index; an item has the key (index, seed), as from the sampler."""

    def __len__(self):
        return 8

    def __getitem__(self, key):
        return dict(inputs=torch.full((3, 8, 8), key[0], dtype=torch.uint8), seeds=key[1])


def test_a_target_is_prepared_from_as_many_images_as_it_asks_for_and_only_once():
    model = mae(
        target=dict(type='CentredColour'),
        data_preprocessor=dict(type='PhotoPreprocessor', mean=(0, 0, 0), std=(1, 1, 1)),
    )
    runner = FakeRunner(model)
    FitTargetHook(batch_size=2).before_train(runner)
    assert (5 * model.target.centre[0]).item() in range(10, 26)  # five different numbers of 0 to 7
    [line] = runner.lines
    assert line.startswith('CentredColour prepared from 5 training images in ')
    FitTargetHook(batch_size=2).before_train(runner)
    assert len(runner.lines) == 1


def test_a_target_without_an_inverse_refuses_pixels_in_one_line():
    target = Target()
    target.invertible = False
    with pytest.raises(UserError, match='predictions of Target cannot be turned into pixels') as caught:
        target.to_pixels(torch.zeros(2, 4, 3), IMAGES, 4)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'call',
    [
        lambda target: target.dim(4, 3),
        lambda target: target(IMAGES, 4),
        lambda target: target.to_pixels(torch.zeros(2, 4, 3), IMAGES, 4),
    ],
    ids=['dim', 'forward', 'to_pixels'],
)
def test_a_target_that_lacks_a_method_says_so(call):
    with pytest.raises(NotImplementedError, match='Target must implement'):
        call(Target())


def test_the_targets_of_the_project_keep_the_contract():
    tokenizer = dict(type='DVAE', vocab_size=4, width=4, code_dim=4)
    targets = [PixelTarget(), NormalizedPixelTarget(), PCATarget(2, max_images=7), TokenTarget(tokenizer)]
    assert all(isinstance(target, Target) for target in targets)
    assert [target.images_needed for target in targets] == [0, 0, 7, 0]
    assert [target.ready for target in targets] == [True, True, False, False]


# --- tokenizers -------------------------------------------------------------------------------------------------------
def test_a_tokenizer_needs_only_logits(tmp_path):
    torch.save(dict(centres=torch.tensor([0.0, 0.3, 0.6, 0.9])), tmp_path / 'centres.pth')
    target = dict(type='TokenTarget', tokenizer=dict(type='Brightness', checkpoint=str(tmp_path / 'centres.pth')))
    model = mae(target=target, data_preprocessor=dict(type='PhotoPreprocessor'))
    model.target.init_weights()
    pixels = torch.tensor([5, 80, 150, 255], dtype=torch.uint8).view(1, 1, 2, 2).expand(2, 3, 2, 2)
    images = model.data_preprocessor(dict(inputs=pixels.repeat_interleave(4, 2).repeat_interleave(4, 3)))['inputs']
    assert model.target(images, 4).tolist() == [[0, 1, 2, 3]] * 2
    model(images, SEEDS)['loss'].backward()
    assert not model.target.invertible
    with pytest.raises(UserError, match='Brightness has no decoder'):
        model.reconstruct(images, model.mask(images, SEEDS))


def test_a_tokenizer_that_lacks_a_method_says_so():
    tokenizer = Tokenizer()
    with pytest.raises(NotImplementedError, match='Tokenizer must implement logits'):
        tokenizer.tokens(IMAGES)
    tokenizer.invertible = True
    with pytest.raises(NotImplementedError, match='must implement decode, or set invertible = False'):
        tokenizer.decode(torch.zeros(1, 2, 2, dtype=torch.int64))
