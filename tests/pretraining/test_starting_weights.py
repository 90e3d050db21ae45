"""A pre-training goes on from other weights: the ViT's always, the decoder's where they fit, and it is said."""

from __future__ import annotations

import logging
import re

import pytest
import torch
from transformers import ViTMAEForPreTraining

from mae_transfer.errors import CheckpointError, UserError
from mae_transfer.pretraining import MAE
from mae_transfer.pretraining.starting_weights import load_mae
from mae_transfer.vit.position import resize_pos_embed, sincos_table
from mae_transfer.vit.weights.checkpoint import read_weights
from mae_transfer.vit.weights.layouts import LAYOUTS, from_canonical
from tests.pretraining.test_mae import small_mae
from tests.vit.weights.test_checkpoint import copy_of, randomize
from tests.vit.weights.test_layouts import hf_config


def published(layout: str = 'official', decoder: bool = True, **changes) -> tuple[MAE, dict]:
    """An MAE and its weights as another project has them; its fixed positions are sin-cos."""
    model = randomize(small_mae(**changes))
    with torch.no_grad():
        for part in (model.vit, model.decoder):
            part.pos_embed.copy_(sincos_table(part.pos_embed.shape[-1], part.grid))
    weights = read_weights(model.state_dict())
    return model, dict(model=from_canonical(weights.encoder, weights.decoder if decoder else None, layout))


def load(model: MAE, source) -> str:
    return load_mae(model.vit, model.decoder, model.target, source)


def equal(model: MAE, state: dict, names: list[str] | None = None) -> bool:
    return all(torch.equal(model.state_dict()[name], state[name]) for name in names or state)


@pytest.mark.parametrize('layout', [name for name in LAYOUTS if name != 'timm'])
def test_an_official_mae_is_loaded_whole(layout):
    source, file = published(layout)
    model = small_mae()
    assert load(model, file).splitlines() == ["decoder: loaded 20 of 20 weights from a dictionary['model']"]
    assert equal(model, source.state_dict())


def test_transformers_file_is_loaded_whole(tmp_path):
    theirs = randomize(ViTMAEForPreTraining(hf_config())).eval()
    theirs.save_pretrained(tmp_path)
    model, images, noise = small_mae(), torch.randn(2, 3, 32, 32), torch.rand(2, 16)
    load(model, tmp_path)
    expected = theirs(pixel_values=images, noise=noise).loss.item()
    assert model(images, noise=noise)['loss'].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_file_without_decoder_leaves_it_random_and_says_so(layout):
    source, file = published(layout, decoder=False)
    model = small_mae()
    before = copy_of(model.decoder)
    assert load(model, file).splitlines() == [
        "decoder: loaded 0 of 20 weights from a dictionary['model']",
        '  starts from random weights: the checkpoint has no decoder',
    ]
    assert equal(model.vit, source.vit.state_dict()) and equal(model.decoder, before)


@pytest.mark.parametrize('channels', [1, 4, 13])
@pytest.mark.parametrize('target', ['PixelTarget', 'NormalizedPixelTarget'])
def test_rgb_weights_predict_the_same_for_images_of_equal_channels(channels, target):
    source, file = published(target=dict(type=target))
    model = small_mae(vit=dict(in_channels=channels), target=dict(type=target))
    text = load(model, file)
    assert f'  pred: inflated from 3 to {channels} channel' in text and '(each predicts the mean over RGB)' in text
    grey, mask = torch.randn(2, 1, 32, 32), source.mask(torch.empty(2, 3, 32, 32), torch.arange(2))
    expected = source.predict(grey.expand(-1, 3, -1, -1), mask).unflatten(-1, (64, 3)).mean(-1, keepdim=True)
    found = model.predict(grey.expand(-1, channels, -1, -1), mask).unflatten(-1, (64, channels))
    torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-4, atol=1e-5)


def test_the_order_of_pixels_stays_when_channels_are_inflated():
    """With a layer that predicts each pixel's number, every channel predicts that pixel's number."""
    source, _ = published()
    with torch.no_grad():
        source.decoder.pred.weight.zero_()
        source.decoder.pred.bias.copy_(torch.arange(64.0).repeat_interleave(3))
    model = small_mae(vit=dict(in_channels=5), target=dict(type='PixelTarget'))
    load(model, source.state_dict())
    images = torch.zeros(1, 5, 32, 32)
    patches = model.target.to_pixels(model.predict(images, model.mask(images), everywhere=True), images, 8)
    assert torch.equal(patches, torch.arange(64.0).view(8, 8).expand(1, 16, 5, 8, 8))


def test_another_grid_resizes_both_tables():
    source, file = published(vit=dict(img_size=(16, 64)))
    model = small_mae(vit=dict(img_size=32))
    assert '  positions: of 2 x 8 patches (its sin-cos table), resized to 4 x 4' in load(model, file)
    for found, table in ((model.vit, source.vit), (model.decoder, source.decoder)):
        torch.testing.assert_close(found.pos_embed, resize_pos_embed(table.pos_embed, (2, 8), (4, 4)))


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(decoder=dict(embed_dim=16)), 'is of another size: '),
        (dict(decoder=dict(depth=2)), r'blocks.1.norm1.weight is not there in the checkpoint, 24 in the model'),
    ],
)
def test_a_decoder_of_another_size_stays_random_and_says_why(changes, words, caplog):
    source, file = published()
    model = small_mae(**changes)
    before = copy_of(model.decoder)
    text = load(model, file)
    assert 'starts from random weights' in text and words in text
    assert equal(model.vit, source.vit.state_dict()) and equal(model.decoder, before)


@pytest.mark.parametrize(
    'theirs, ours, words',
    [
        ({}, dict(target=dict(type='PCATarget', components=9)), 'only a prediction of pixels .* model has a PCATarget'),
        ({}, dict(target=dict(type='PCATarget', components=192)), 'the model has a PCATarget'),
        (dict(target=dict(type='PCATarget', components=192)), {}, "the checkpoint has 'target.mean'"),
        (dict(vit=dict(patch_size=16)), {}, 'it is 768 x 24 in the checkpoint, 192 x 24 in the model'),
    ],
)
def test_a_last_layer_that_predicts_something_else_stays_random(theirs, ours, words):
    source = randomize(small_mae(**theirs))
    model = small_mae(**{key: dict(value) for key, value in ours.items()})
    before = copy_of(model.decoder.pred)
    with torch.no_grad():
        source.vit.pos_embed.copy_(sincos_table(32, source.vit.grid))
        source.decoder.pos_embed.copy_(sincos_table(24, source.decoder.grid))
    text = load(model, source.state_dict())
    assert '  pred: starts from random weights: ' in text
    assert re.search(words, text)
    assert equal(model.decoder.pred, before)
    assert torch.equal(model.decoder.embed.weight, source.decoder.embed.weight)


@pytest.mark.parametrize('of_file, line', [(False, 'in the checkpoint, not used'), (True, 'not in the checkpoint')])
def test_mask_tokens_of_the_encoder_and_of_the_decoder(of_file, line):
    source = randomize(small_mae(encoder_mask_tokens=of_file))
    model = small_mae(encoder_mask_tokens=not of_file)
    assert f'  mask_token: {line}' in load(model, source.state_dict())
    assert torch.equal(model.decoder.pred.weight, source.decoder.pred.weight)


@pytest.mark.parametrize('broken', ['decoder_blocks.0.norm1.bias', 'blocks.1.norm1.bias'])
def test_a_broken_file_raises_and_changes_nothing(broken):
    _, file = published()
    file['model'][broken] = torch.full_like(file['model'][broken], torch.nan)
    model = small_mae()
    before = copy_of(model)
    with pytest.raises(CheckpointError, match="norm1.bias' holds values that are not finite"):
        load(model, file)
    assert equal(model, before)


def test_the_log_warns_unless_all_is_loaded_as_it_is(monkeypatch):
    logged = []
    monkeypatch.setattr(
        'mae_transfer.pretraining.starting_weights.print_log', lambda text, logger, level: logged.append(level)
    )
    load(small_mae(), published()[1])
    load(small_mae(), published(decoder=False)[1])
    load(small_mae(vit=dict(in_channels=4)), published()[1])
    assert logged == [logging.INFO, logging.WARNING, logging.WARNING]


# --- as a run starts --------------------------------------------------------------------------------------------------
def test_the_init_cfg_of_the_vit_lends_the_decoder_too(tmp_path):
    source, file = published()
    torch.save(file, tmp_path / 'official.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'official.pth'))
    model = small_mae(vit=dict(init_cfg=init_cfg))
    model.init_weights()
    assert equal(model, source.state_dict()) and model.is_init and model.vit.is_init
    randomize(model, seed=1)
    after = copy_of(model)
    model.init_weights()  # a second time, as the Runner may
    assert equal(model, after)


def test_no_checkpoint_leaves_everything_random():
    model = small_mae(vit=dict(init_cfg=dict(type='Pretrained', checkpoint='none')))
    before = copy_of(model)
    model.init_weights()
    assert equal(model, before)


def test_two_init_cfgs_are_refused(tmp_path):
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    model = small_mae(vit=dict(init_cfg=init_cfg), init_cfg=init_cfg)
    with pytest.raises(UserError, match='both the MAE and its ViT have an init_cfg: leave model.init_cfg out'):
        model.init_weights()
