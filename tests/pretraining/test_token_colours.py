"""The tokenizer gets the colours of the photo, regardless of how the MAE normalises it."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.pretraining import MAE

NORMALISATIONS = {
    'ImageNet': dict(),
    'to [-1, 1]': dict(mean=(127.5,) * 3, std=(127.5,) * 3),
    'to [0, 1]': dict(mean=(0,) * 3, std=(255,) * 3),
}
PHOTOS = torch.randint(256, (2, 3, 32, 48), generator=torch.Generator().manual_seed(4)).to(torch.uint8)


def mae(patch: int = 8, **settings) -> MAE:
    """An MAE whose tokenizer has a stride of 8."""
    torch.manual_seed(0)
    return MAE(
        vit=dict(type='ViT', arch=dict(embed_dim=16, depth=1, num_heads=2), img_size=(32, 48), patch_size=patch),
        masking=dict(type='RandomMasking'),
        decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
        target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=24, width=16, code_dim=8)),
        **settings,
    )


def mae_normalising(name: str, patch: int = 8) -> tuple[MAE, torch.Tensor]:
    """An MAE with the named normalisation, and the normalised photos."""
    model = mae(patch, data_preprocessor=dict(type='PhotoPreprocessor', **NORMALISATIONS[name]))
    model.target.ready = True
    # An untrained tokenizer gives nearly the same logits everywhere: keep only the differences.
    tokenizer = model.target.tokenizer
    tokenizer.encoder[-1].bias.data -= tokenizer.logits(PHOTOS / 255).mean(dim=(0, 2, 3))
    return model, model.data_preprocessor(dict(inputs=PHOTOS))['inputs']


@pytest.mark.parametrize('name', NORMALISATIONS)
def test_the_tokenizer_gets_the_photo_itself_under_every_normalisation(name):
    model, images = mae_normalising(name)
    tokenizer, seen = model.target.tokenizer, []
    tokenizer.encoder.register_forward_pre_hook(lambda module, inputs: seen.append((inputs[0] + 1) / 2))
    tokens = model.target(images, 8)
    assert_close(seen[0], PHOTOS / 255, rtol=0, atol=1e-6)
    assert torch.equal(tokens, tokenizer.tokens(PHOTOS / 255).flatten(1)) and len(tokens.unique()) > 4


@pytest.mark.parametrize('patch', [4, 8, 16])
def test_the_tokens_of_a_photo_are_the_same_under_every_normalisation(patch):
    tokens = [
        model.target(images, patch) for model, images in (mae_normalising(name, patch) for name in NORMALISATIONS)
    ]
    assert torch.equal(tokens[0], tokens[1]) and torch.equal(tokens[0], tokens[2])


def test_the_pixels_of_tokens_are_normalised_as_the_photos_are():
    pictures = []
    for model, images in map(mae_normalising, NORMALISATIONS):
        tokens = model.target(images, 8)
        patches = model.target.to_pixels(torch.nn.functional.one_hot(tokens, 24).float(), images, 8)
        decoded = model.target.tokenizer.decode(tokens.view(2, 4, 6))
        pictures.append(model.data_preprocessor.to_uint8(patches))
        assert_close(model.data_preprocessor.to_unit(patches[:, 0]), decoded[:, :, :8, :8], rtol=0, atol=1e-6)
    assert len(pictures[0].unique()) > 4
    assert all((other.int() - pictures[0].int()).abs().max() <= 1 for other in pictures[1:])


@pytest.mark.parametrize('patch', [4, 16])
def test_a_resized_photo_stays_between_zero_and_one(patch):
    model, images = mae_normalising('ImageNet', patch)
    seen = []
    model.target.tokenizer.encoder.register_forward_pre_hook(lambda module, inputs: seen.append((inputs[0] + 1) / 2))
    model.target(images, patch)
    assert seen[0].min() >= 0 and seen[0].max() <= 1


@pytest.mark.parametrize('preprocessor', [None, dict(type='mmengine.BaseDataPreprocessor')])
def test_an_mae_whose_normalisation_is_unknown_is_refused_in_one_line(preprocessor):
    with pytest.raises(UserError, match='TokenTarget must know how .* found BaseDataPreprocessor, which has') as caught:
        mae(data_preprocessor=preprocessor)
    assert '\n' not in str(caught.value)


def test_the_preprocessor_stays_out_of_the_targets_modules_and_state():
    model, _ = mae_normalising('to [-1, 1]')
    assert {name.partition('.')[0] for name, _ in model.target.named_modules() if name} == {'tokenizer'}
    assert all(name.startswith('tokenizer.') for name in model.target.state_dict())


def test_a_copy_of_an_mae_uses_its_own_preprocessor():
    model, images = mae_normalising('to [-1, 1]')
    copied = deepcopy(model)
    copied.data_preprocessor.std.mul_(2)
    assert_close(copied.target.to_unit(images), copied.data_preprocessor.to_unit(images), rtol=0, atol=0)
    assert not torch.equal(copied.target.to_unit(images), model.target.to_unit(images))
