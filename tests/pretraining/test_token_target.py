"""Tokens as a target: grids, loss, pixels, and the weights of the tokenizer."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.pretraining import DVAE, PhotoPreprocessor, TokenTarget
from mae_transfer.registry import MODELS
from mae_transfer.vit import ViT
from mae_transfer.vit.patches import join_patches
from mae_transfer.vit.weights.checkpoint import load_vit
from mae_transfer.whole_model import load_whole_model
from tests.helpers import pretraining

SIZES = dict(vocab_size=24, width=16, code_dim=8, num_blocks=1)
DALLE = dict(type='DALLEEncoder', hidden=8, group_blocks=1, vocab_size=20)
MEAN, STD = (
    torch.tensor(values).view(3, 1, 1) / 255 for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
)


def target_of(stride: int = 8, **changes) -> TokenTarget:
    torch.manual_seed(0)
    target = TokenTarget(dict(dict(type='DVAE', stride=stride, **SIZES), **changes))
    target.use_preprocessor(PhotoPreprocessor())
    target.ready = True
    # Untrained weights give nearly the same logits everywhere: keep only the differences.
    target.tokenizer.encoder[-1].bias -= target.tokenizer.logits(colours(photos())).mean(dim=(0, 2, 3))
    return target


def dalle() -> TokenTarget:
    torch.manual_seed(0)
    target = TokenTarget(DALLE)
    target.use_preprocessor(PhotoPreprocessor())
    target.ready = True
    return target


def photos(height: int = 32, width: int = 48) -> torch.Tensor:
    """(2, 3, height, width), normalised by ImageNet's mean and deviation."""
    return (torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(2)) - MEAN) / STD


def colours(images: torch.Tensor) -> torch.Tensor:
    """The colours of normalised images, in [0, 1]."""
    return (images * STD + MEAN).clamp(0, 1)


@pytest.mark.parametrize('make', [target_of, dalle])
@pytest.mark.parametrize('patch', [4, 8, 16])
@pytest.mark.parametrize('grid', [(2, 2), (1, 3)])
def test_there_is_one_token_for_each_patch(make, patch, grid):
    tokens = make()(photos(grid[0] * patch, grid[1] * patch), patch)
    assert tokens.shape == (2, grid[0] * grid[1]) and tokens.dtype == torch.int64


@pytest.mark.parametrize('make', [target_of, dalle])
def test_patches_as_large_as_the_stride_get_the_tokens_of_the_photo_itself(make):
    target, images = make(), photos()
    assert torch.equal(target(images, 8), target.tokenizer.tokens(colours(images)).flatten(1))


def test_larger_patches_get_the_tokens_of_a_smaller_photo():
    target, images = target_of(), photos().repeat_interleave(2, 2).repeat_interleave(2, 3)
    small = torch.nn.functional.interpolate(colours(images), size=(32, 48), mode='bicubic', antialias=True).clamp(0, 1)
    assert torch.equal(target(images, 16), target.tokenizer.tokens(small).flatten(1))


def test_the_target_of_chosen_patches_is_that_part_of_all():
    target, images, index = target_of(), photos(), torch.tensor([[5, 0, 23], [1, 1, 3]])
    everything = target(images, 8)
    assert len(everything.unique()) > 1
    assert torch.equal(target(images, 8, index), everything.gather(1, index))


def test_the_length_of_a_prediction_is_the_vocabulary():
    assert target_of().dim(16, 3) == 24 and dalle().dim(8, 3) == 20


def test_the_loss_is_each_images_cross_entropy():
    prediction, tokens = torch.randn(2, 5, 24), torch.randint(24, (2, 5))
    expected = torch.stack([-prediction[i].log_softmax(dim=-1)[torch.arange(5), tokens[i]].mean() for i in range(2)])
    assert_close(target_of().loss(prediction, tokens), expected)
    assert target_of().loss(torch.zeros(2, 5, 24), tokens).tolist() == pytest.approx([math.log(24)] * 2)


def test_tokens_and_loss_are_those_of_float32_under_autocast():
    target, images, prediction = target_of(), photos(), torch.randn(2, 24, 24).bfloat16()
    tokens, seen = target(images, 8), []
    target.tokenizer.encoder.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    with torch.autocast('cpu', torch.bfloat16):
        found, losses = target(images, 8), target.loss(prediction, tokens)
    assert torch.equal(found, tokens) and seen == [torch.float32] and losses.dtype == torch.float32
    assert_close(losses, target.loss(prediction.float(), tokens))


def one_hot(tokens: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(tokens, 24).float()


@pytest.mark.parametrize('patch', [4, 8, 16])
def test_pixels_are_decoded_from_the_tokens_of_the_whole_grid(patch):
    target, images = target_of(), photos()
    tokens, grid = target(images, patch), (32 // patch, 48 // patch)
    picture = join_patches(target.to_pixels(one_hot(tokens), images, patch), grid)
    assert picture.shape == images.shape
    decoded = target.tokenizer.decode(tokens.view(2, *grid))
    if patch == 8:
        assert_close(picture, (decoded - MEAN) / STD)
    assert_close(picture.mean(dim=(2, 3)), ((decoded - MEAN) / STD).mean(dim=(2, 3)), rtol=0, atol=0.02)


def test_pixels_of_some_patches_are_decoded_among_the_true_tokens_of_the_others():
    target, images, index = target_of(), photos(), torch.tensor([[5, 0, 23], [1, 2, 3]])
    predicted = (target(images, 8, index) + 1) % 24
    whole = target(images, 8).scatter(1, index, predicted)
    expected = target.to_pixels(one_hot(whole), images, 8).gather(
        1, index[..., None, None, None].expand(-1, -1, 3, 8, 8)
    )
    assert_close(target.to_pixels(one_hot(predicted), images, 8, index), expected)


def test_tokens_of_an_encoder_alone_have_no_pixels():
    target = dalle()
    assert not target.invertible and target_of().invertible
    with pytest.raises(UserError, match='DALLEEncoder has no decoder, so its tokens cannot be turned into pixels'):
        target.to_pixels(torch.zeros(2, 24, 20), photos(), 8)


@pytest.mark.parametrize(
    'build, words',
    [
        (lambda: target_of().dim(8, 1), 'takes images of 3 channels; the ViT has in_channels=1'),
        (
            lambda: TokenTarget(dict(type='DVAE', **SIZES))(photos(), 8),
            'the tokenizer has random weights: set model.target.tokenizer.checkpoint to a file or work_dir',
        ),
        (
            lambda: TokenTarget(dict(type='DVAE', **SIZES)).to_pixels(torch.zeros(2, 24, 24), photos(), 8),
            'the tokenizer has random weights: set model.target.tokenizer.checkpoint to a file or work_dir',
        ),
    ],
)
def test_impossible_uses_are_refused_in_one_line(build, words):
    with pytest.raises(UserError, match=words) as caught:
        build()
    assert '\n' not in str(caught.value)


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory) -> DVAE:
    """A tokenizer, and the work_dir of its training."""
    torch.manual_seed(7)
    model = DVAE(**SIZES, stride=4)
    model.work_dir = tmp_path_factory.mktemp('tokenizer')
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), model.work_dir / 'epoch_1.pth')
    (model.work_dir / 'last_checkpoint').write_text(str(model.work_dir / 'epoch_1.pth'))
    return model


def mae_with(tmp_path, **settings):
    config = dict(type='DVAE', stride=4, **SIZES)
    return MODELS.build(
        dict(pretraining(tmp_path, tmp_path).model, target=dict(type='TokenTarget', tokenizer=dict(config, **settings)))
    )


def test_a_work_dir_is_loaded_when_training_starts_and_its_weights_stay_as_they_are(tmp_path, tokenizer):
    model = mae_with(tmp_path, checkpoint=str(tokenizer.work_dir))
    assert not model.target.ready
    model.init_weights()
    assert model.target.ready
    model.train()
    assert not any(module.training for module in model.target.tokenizer.modules())
    assert not any(parameter.requires_grad for parameter in model.target.parameters())
    images = photos(16, 16)
    model(images, torch.arange(2))['loss'].backward()
    assert all(
        torch.equal(value, tokenizer.state_dict()[name]) for name, value in model.target.tokenizer.state_dict().items()
    )
    assert torch.equal(model.target(images, 4), tokenizer.tokens(colours(images)).flatten(1))


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(vocab_size=12), r'has a DVAE of other sizes: \S+ is \(24, .*\) in the file and \(12, .*\) in the model'),
        (
            dict(num_blocks=2),
            'does not fit a DVAE of these sizes: [0-9]+ of its .* missing, e.g. .*, [0-9]+ in the file are unknown',
        ),
        (
            dict(checkpoint='nowhere'),
            "tokenizer.checkpoint: no checkpoint file or work_dir 'nowhere': train one with tools/train.py",
        ),
    ],
)
def test_weights_of_another_tokenizer_are_refused_in_one_line(tmp_path, tokenizer, settings, words):
    model = mae_with(tmp_path, **dict(dict(checkpoint=str(tokenizer.work_dir)), **settings))
    with pytest.raises(UserError, match=words) as caught:
        model.init_weights()
    assert '\n' not in str(caught.value)


def test_a_checkpoint_of_the_mae_contains_the_tokenizer_and_its_vit_can_be_loaded_alone(tmp_path, tokenizer):
    model = mae_with(tmp_path, checkpoint=str(tokenizer.work_dir))
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'mae.pth')
    loaded = mae_with(tmp_path, checkpoint='a file that is no longer there')
    load_whole_model(loaded, str(tmp_path / 'mae.pth'))
    assert loaded.target.ready
    images, seeds = photos(16, 16), torch.arange(2)
    assert_close(loaded(images, seeds)['loss'], model(images, seeds)['loss'], rtol=0, atol=0)

    vit = ViT(arch=dict(embed_dim=16, depth=1, num_heads=2), img_size=16, patch_size=4)
    report = load_vit(vit, tmp_path / 'mae.pth')
    assert not report.missing and set(report.loaded) == set(vit.state_dict())
    assert {name for name in report.unexpected if not name.startswith('decoder.')} == {
        f'target.tokenizer.{name}' for name in tokenizer.state_dict()
    }


def test_a_state_that_lacks_a_weight_of_the_tokenizer_does_not_make_it_ready(tmp_path):
    model = mae_with(tmp_path)
    state = {name: value for name, value in model.state_dict().items() if name != 'target.tokenizer.codebook'}
    model.load_state_dict(state, strict=False)
    assert not model.target.ready


def test_a_vit_loads_from_a_model_with_the_encoder_of_dalle(tmp_path):
    model = MODELS.build(
        dict(pretraining(tmp_path, tmp_path).model, target=dict(type='TokenTarget', tokenizer=dict(DALLE)))
    )
    vit = ViT(arch=dict(embed_dim=16, depth=1, num_heads=2), img_size=16, patch_size=4)
    assert not load_vit(vit, model.state_dict()).missing
    assert torch.equal(vit.state_dict()['blocks.0.attn.qkv.weight'], model.vit.state_dict()['blocks.0.attn.qkv.weight'])
