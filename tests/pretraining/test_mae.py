"""The MAE compared with numbers of the official code, and its invariants."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.pretraining import MAE
from mae_transfer.pretraining.masking import RandomMasking
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import load_vit
from tests.official import GOLDEN, noise, official_name, parameter, value


def small_mae(**changes) -> MAE:
    config = dict(
        vit=dict(type='ViT', arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8),
        masking=dict(type='RandomMasking', ratio=0.75),
        decoder=dict(type='MAEDecoder', embed_dim=24, depth=1, num_heads=2),
        target=dict(type='NormalizedPixelTarget'),
    )
    for key, change in changes.items():
        config[key] = dict(config.get(key, {}), **change) if isinstance(change, dict) else change
    return MAE(**config)


def official_mae(case: dict) -> MAE:
    model = MAE(
        vit=dict(
            type='ViT',
            arch=dict(embed_dim=case['embed_dim'], depth=case['depth'], num_heads=case['num_heads']),
            img_size=case['image_size'],
            patch_size=case['patch_size'],
        ),
        masking=dict(type='RandomMasking', ratio=case['mask_ratio']),
        decoder=dict(
            type='MAEDecoder',
            embed_dim=case['decoder_embed_dim'],
            depth=case['decoder_depth'],
            num_heads=case['decoder_num_heads'],
        ),
        target=dict(type='NormalizedPixelTarget' if case['normalized_pixels'] else 'PixelTarget'),
    )
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.requires_grad:
                tensor.copy_(parameter(official_name(name), tuple(tensor.shape)))
    return model


@pytest.mark.parametrize('case', GOLDEN['masked_autoencoder'], ids=lambda case: case['name'])
def test_equals_official_code(case):
    model = official_mae(case)
    images = value('images', (2, 3, case['image_size'], case['image_size']))
    patches = (case['image_size'] // case['patch_size']) ** 2
    given = noise((2, patches))

    mask = model.mask(images, noise=given)
    assert mask.as_image_order()[0].int().tolist() == case['masked_first_image']

    loss = model(images, noise=given)['loss']
    assert loss.item() == pytest.approx(case['loss'], rel=1e-5)

    prediction = model.predict(images, mask, everywhere=True)
    assert prediction.abs().mean().item() == pytest.approx(case['pred_mean_abs'], rel=1e-5)
    torch.testing.assert_close(prediction[0, 0, :8], torch.tensor(case['pred_first8']), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(prediction[-1, -1, -8:], torch.tensor(case['pred_last8']), rtol=1e-4, atol=1e-6)

    loss.backward()
    norms = {
        official_name(name): tensor.grad.norm().item()
        for name, tensor in model.named_parameters()
        if tensor.requires_grad
    }
    for name, expected in case['grad_norm'].items():
        assert norms[name] == pytest.approx(expected, rel=1e-4), name


def test_masked_prediction_is_the_masked_part_of_the_whole_prediction():
    model, images = small_mae(), torch.randn(3, 3, 32, 32)
    prediction, mask = model(images, mode='tensor')
    whole = model.predict(images, mask, everywhere=True)
    picked = whole.gather(1, mask.masked[..., None].expand(-1, -1, whole.shape[-1]))
    torch.testing.assert_close(prediction, picked)


def test_masked_pixels_cannot_reach_the_encoder():
    model, images = small_mae(), torch.randn(2, 3, 32, 32)
    mask = model.mask(images)
    is_masked = mask.as_image_order().reshape(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = images + is_masked * torch.randn_like(images)
    torch.testing.assert_close(model.predict(images, mask), model.predict(changed, mask), rtol=0, atol=0)


@pytest.mark.parametrize('img_size', [(32, 32), (16, 48), (64, 24)])
@pytest.mark.parametrize('channels', [1, 3, 5])
def test_any_size_and_channel_count(img_size, channels):
    model = small_mae(vit=dict(img_size=img_size, in_channels=channels))
    loss = model(torch.randn(2, channels, *img_size))['loss']
    loss.backward()
    for name, tensor in model.named_parameters():
        assert tensor.grad is not None or not tensor.requires_grad, f'{name} got no gradient'


def test_an_image_is_masked_by_its_seed_alone():
    model = small_mae()
    images, seeds = torch.randn(4, 3, 32, 32), torch.tensor([5, 6, 7, 2**40 + 5])
    together = model.mask(images, seeds)
    for i in range(4):
        assert torch.equal(model.mask(images[i : i + 1], seeds[i : i + 1]).keep, together.keep[i : i + 1])
    assert not torch.equal(together.keep[0], together.keep[3])


def test_the_loss_of_a_batch_is_the_mean_of_its_images():
    model = small_mae()
    images, seeds = torch.randn(6, 3, 32, 32), torch.arange(6)
    whole = model(images, seeds)['loss']
    halves = [model(images[part], seeds[part])['loss'] for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(whole, sum(halves) / 2)
    singles = [sample['loss'] for sample in model(images, seeds, mode='predict')]
    assert sum(singles) / 6 == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize('target', ['PixelTarget', 'NormalizedPixelTarget'])
def test_reconstruction_does_not_change_the_kept_patches(target):
    model, images = small_mae(target=dict(type=target)), torch.randn(2, 3, 32, 32)
    mask = model.mask(images)
    is_masked = mask.as_image_order().reshape(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3).bool()
    picture = model.reconstruct(images, mask)
    assert picture.shape == images.shape
    torch.testing.assert_close(picture.masked_select(~is_masked), images.masked_select(~is_masked))
    assert not torch.allclose(picture.masked_select(is_masked), images.masked_select(is_masked))
    whole = model.reconstruct(images, mask, paste=False)
    assert torch.equal(whole.masked_select(is_masked), picture.masked_select(is_masked))
    assert not torch.allclose(whole.masked_select(~is_masked), images.masked_select(~is_masked))


def test_a_mask_can_be_drawn_by_another_masking():
    model, images, seeds = small_mae(), torch.randn(2, 3, 32, 32), torch.arange(2)
    mask = model.mask(images, seeds, masking=RandomMasking(0.5))
    assert mask.keep.shape == (2, 8) and model.mask(images, seeds).keep.shape == (2, 4)
    assert torch.equal(mask.keep[:, :4], model.mask(images, seeds).keep)


# --- the paper's variants ---------------------------------------------------------------------------------------------
VARIANTS = [dict(masking=dict(type=kind, ratio=0.5)) for kind in ('BlockMasking', 'GridMasking')] + [
    dict(encoder_mask_tokens=True),
    dict(loss_on='all'),
    dict(encoder_mask_tokens=True, loss_on='all'),
]


@pytest.mark.parametrize('variant', VARIANTS, ids=str)
@pytest.mark.parametrize('img_size', [(32, 32), (16, 48)])
def test_every_parameter_of_every_variant_gets_a_gradient(variant, img_size):
    model = small_mae(**variant, vit=dict(img_size=img_size))
    images, seeds = torch.randn(2, 3, *img_size), torch.arange(2)
    model(images, seeds)['loss'].backward()
    for name, tensor in model.named_parameters():
        assert tensor.grad is not None or not tensor.requires_grad, f'{name} got no gradient'
    assert model.reconstruct(images, model.mask(images, seeds)).shape == images.shape


def test_mask_tokens_in_the_encoder_replace_the_masked_patches():
    """As in the paper: all patches are embedded, the masked ones replaced, positions added, everything encoded."""
    torch.manual_seed(0)
    model = small_mae(encoder_mask_tokens=True)
    with torch.no_grad():
        model.vit.cls_token.normal_()
        model.mask_token.normal_()
    images, seeds = torch.randn(2, 3, 32, 32), torch.arange(2)
    mask = model.mask(images, seeds)
    vit, decoder = model.vit, model.decoder
    is_masked = mask.as_image_order()[..., None]
    x = vit.patch_embed(images) * (1 - is_masked) + model.mask_token * is_masked + vit.pos_embed[:, 1:]
    x = torch.cat([(vit.cls_token + vit.pos_embed[:, :1]).expand(2, -1, -1), x], dim=1)
    for block in vit.blocks:
        x = block(x)
    x = decoder.embed(vit.norm(x)) + decoder.pos_embed
    for block in decoder.blocks:
        x = block(x)
    expected = decoder.pred(decoder.norm(x))[:, 1:]
    torch.testing.assert_close(model.predict(images, mask, everywhere=True), expected, rtol=1e-4, atol=1e-5)
    masked = expected.gather(1, mask.masked[..., None].expand(-1, -1, expected.shape[-1]))
    torch.testing.assert_close(model.predict(images, mask), masked, rtol=1e-4, atol=1e-5)


def test_masked_pixels_cannot_reach_an_encoder_with_mask_tokens():
    model, images = small_mae(encoder_mask_tokens=True), torch.randn(2, 3, 32, 32)
    mask = model.mask(images)
    is_masked = mask.as_image_order().reshape(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = images + is_masked * torch.randn_like(images)
    torch.testing.assert_close(model.predict(images, mask), model.predict(changed, mask), rtol=0, atol=0)


def test_the_encoder_has_the_mask_token_instead_of_the_decoder():
    torch.manual_seed(0)
    model = small_mae(encoder_mask_tokens=True, vit=dict(arch=dict(embed_dim=256, depth=1, num_heads=2)))
    assert model.decoder.mask_token is None and model.mask_token.shape == (1, 1, 256)
    assert model.mask_token.std().item() == pytest.approx(0.02, rel=0.15)
    assert small_mae().mask_token is None


@pytest.mark.parametrize('target', ['PixelTarget', 'NormalizedPixelTarget'])
def test_a_loss_on_all_patches_includes_the_kept_ones(target):
    model = small_mae(target=dict(type=target), loss_on='all')
    images, seeds = torch.randn(2, 3, 32, 32), torch.arange(2)
    mask = model.mask(images, seeds)
    prediction, wanted = model.predict(images, mask, everywhere=True), model.target(images, 8)
    assert model(images, seeds)['loss'].item() == pytest.approx((prediction - wanted).square().mean().item(), rel=1e-5)
    model.loss_on = 'masked'
    assert model(images, seeds)['loss'].item() == pytest.approx(
        sum(sample['loss'] for sample in model(images, seeds, mode='predict')) / 2, rel=1e-5
    )


def test_evaluation_uses_the_masked_patches_regardless_of_loss_on():
    model, images, seeds = small_mae(loss_on='all'), torch.randn(2, 3, 32, 32), torch.arange(2)
    evaluated = model(images, seeds, mode='predict')
    model.loss_on = 'masked'
    assert model(images, seeds, mode='predict') == evaluated


def test_the_vit_of_an_mae_with_mask_tokens_loads_like_any_other(tmp_path):
    model = small_mae(encoder_mask_tokens=True)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'mae.pth')
    vit = ViT(arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8)
    load_vit(vit, str(tmp_path / 'mae.pth'))
    for name, tensor in vit.state_dict().items():
        assert torch.equal(tensor, model.vit.state_dict()[name]), name


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(loss_on='visible'), "'masked' or 'all'; found 'visible'"),
        (dict(vit=dict(img_size=33)), 'not divisible by patch_size 8'),
        (dict(vit=dict(arch='gigantic')), "unknown arch 'gigantic'"),
        (dict(masking=dict(ratio=0.0)), 'strictly between 0 and 1'),
        (dict(masking=dict(ratio=1.0)), 'strictly between 0 and 1'),
        (dict(masking=dict(ratio=0.99)), 'keeps 0 of 4 x 4 patches'),
    ],
)
def test_bad_settings_are_refused_in_one_line(changes, words):
    with pytest.raises(UserError, match=words) as caught:
        small_mae(**changes)
    assert '\n' not in str(caught.value)
