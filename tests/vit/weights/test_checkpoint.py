"""Weights of other projects in the ViT: the same outputs, resizing to other grids, and a clear error if they do not
fit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import ViTMAEForPreTraining

from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import CheckpointError, load_vit, read_weights
from mae_transfer.vit.weights.layouts import LAYOUTS, from_canonical
from tests.pretraining.test_mae import small_mae
from tests.vit.weights.test_layouts import hf_config

SMALL = dict(embed_dim=32, depth=2, num_heads=2)


def small_vit(arch: dict | None = None, **changes) -> ViT:
    return ViT(**dict(dict(arch=dict(SMALL, **(arch or {})), img_size=32, patch_size=8), **changes))


def randomize(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Draw all parameters from a normal distribution of std .2: initial zeros and ones would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def unchanged(vit: ViT, before: dict) -> bool:
    return all(torch.equal(value, before[name]) for name, value in vit.state_dict().items())


def copy_of(model: torch.nn.Module) -> dict:
    return {name: value.clone() for name, value in model.state_dict().items()}


# ---------------------------------------------------------------------------------------------------- same outputs


@pytest.mark.parametrize('wrapper', [None, 'model', 'state_dict', 'state_dict_ema'])
def test_timm_model_and_ours_agree(wrapper, tmp_path):
    timm = randomize(VisionTransformer(img_size=32, patch_size=8, num_classes=0, global_pool='token', **SMALL)).eval()
    state = timm.state_dict()
    torch.save({wrapper: state, 'epoch': 3} if wrapper else state, tmp_path / 'timm.pth')
    vit = small_vit()
    report = load_vit(vit, tmp_path / 'timm.pth')
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(vit.tokens(images), timm.forward_features(images), rtol=1e-5, atol=1e-5)
    assert len(report.loaded) == len(state) and not (report.missing or report.unexpected or report.resized)
    assert report.layout == 'timm' and (wrapper is None or wrapper in report.source)


@pytest.mark.parametrize('how', ['memory', 'save_pretrained', 'hub'])
def test_transformers_vitmae_and_ours_agree(how, tmp_path):
    theirs = randomize(ViTMAEForPreTraining(hf_config())).eval()
    theirs.save_pretrained(tmp_path)
    weights = read_weights(tmp_path if how == 'save_pretrained' else theirs.state_dict())
    if how == 'hub':  # with the names of the files on the Hub
        weights = read_weights(from_canonical(weights.encoder, weights.decoder, 'hf'))
    assert weights.layout == 'hf' and not weights.other

    ours = small_mae()
    result = ours.load_state_dict(from_canonical(weights.encoder, weights.decoder, 'mae_transfer'), strict=False)
    assert not result.unexpected_keys and not [k for k in result.missing_keys if k.startswith(('vit', 'decoder'))]
    images, noise = torch.randn(3, 3, 32, 32), torch.rand(3, 16)
    expected = theirs(pixel_values=images, noise=noise)
    mask = ours.mask(images, noise=noise)
    assert torch.equal(mask.as_image_order(), expected.mask)
    torch.testing.assert_close(ours.predict(images, mask, everywhere=True), expected.logits, rtol=1e-5, atol=1e-5)
    assert ours(images, noise=noise)['loss'].item() == pytest.approx(expected.loss.item(), rel=1e-5)


def test_transformers_reads_what_we_write(tmp_path):
    ours = randomize(small_mae())
    weights = read_weights(ours.state_dict())
    hf_config().save_pretrained(tmp_path)
    state = from_canonical(weights.encoder, weights.decoder, 'hf')
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / 'model.safetensors', metadata=dict(format='pt'))
    theirs, info = ViTMAEForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not info['missing_keys'] and not info['unexpected_keys']
    images, noise = torch.randn(2, 3, 32, 32), torch.rand(2, 16)
    expected = ours(images, noise=noise)['loss'].item()
    assert theirs.eval()(pixel_values=images, noise=noise).loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_loads_exactly(layout, suffix, tmp_path):
    model = randomize(small_mae())
    weights = read_weights(model.state_dict())
    state = from_canonical(weights.encoder, None if layout == 'timm' else weights.decoder, layout)
    path = tmp_path / f'weights{suffix}'
    if suffix == '.pth':
        torch.save({'state_dict': state}, path)
    else:
        save_file({name: value.clone() for name, value in state.items()}, path)
    vit = small_vit()
    report = load_vit(vit, path)
    assert unchanged(vit, model.vit.state_dict())
    assert report.layout == layout and not report.missing
    assert all(name.startswith('decoder.') for name in report.unexpected)


def test_our_pretraining_checkpoint_in_the_backbone_of_a_detector():
    model = randomize(small_mae())
    backbone = small_vit(class_token=False, final_norm=False, window_size=2, global_blocks=(1,))
    report = load_vit(backbone, {'state_dict': model.state_dict()})
    assert (
        {'cls_token', 'norm.weight', 'norm.bias'} < set(report.unexpected) and not report.missing and not report.resized
    )
    assert torch.equal(backbone.pos_embed, model.vit.pos_embed[:, 1:])
    assert torch.equal(backbone.blocks[1].mlp.fc2.weight, model.vit.blocks[1].mlp.fc2.weight)


def test_half_precision_weights_load_exactly():
    state = {name: value.half() for name, value in randomize(small_vit()).state_dict().items()}
    vit = small_vit()
    load_vit(vit, state)
    assert all(torch.equal(value, state[name].float()) for name, value in vit.state_dict().items())


def test_init_cfg_loads_a_checkpoint(tmp_path):
    torch.save(randomize(small_vit()).state_dict(), tmp_path / 'vit.pth')
    vit = small_vit(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth')))
    vit.init_weights()
    assert unchanged(vit, randomize(small_vit()).state_dict())


# ---------------------------------------------------------------------------------------------------- resizing


@pytest.mark.parametrize('img_size', [(64, 64), (48, 24), (24, 80), (16, 16), (16, 56)])
def test_positions_for_another_grid(img_size):
    source, vit = randomize(small_vit()), small_vit(img_size=img_size)
    report = load_vit(vit, source.state_dict())
    rows, columns = img_size[0] // 8, img_size[1] // 8
    grid = source.pos_embed[:, 1:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(rows, columns), mode='bicubic', align_corners=False).flatten(2).transpose(1, 2)
    torch.testing.assert_close(vit.pos_embed[:, 1:], expected)
    assert torch.equal(vit.pos_embed[:, :1], source.pos_embed[:, :1])
    assert report.resized == {'pos_embed': ((1, 17, 32), (1, 1 + rows * columns, 32))}
    assert '1 x 17 x 32 -> 1 x' in str(report)


def test_positions_of_a_grid_that_is_not_square():
    source = randomize(small_vit(img_size=(16, 48)))  # 2 x 6
    same = small_vit(img_size=(16, 48))
    assert not load_vit(same, source.state_dict()).resized
    assert torch.equal(same.pos_embed, source.pos_embed)
    with pytest.raises(CheckpointError, match='12 patches is for no square grid: give source_grid'):
        load_vit(small_vit(), source.state_dict())
    square = small_vit()
    assert 'pos_embed' in load_vit(square, source.state_dict(), source_grid=(2, 6)).resized
    with pytest.raises(CheckpointError, match='source_grid 2 x 5 has 10'):
        load_vit(small_vit(), source.state_dict(), source_grid=(2, 5))


def test_a_grid_with_equally_many_patches_is_not_assumed_to_be_the_same():
    source = randomize(small_vit())  # 4 x 4
    with pytest.raises(CheckpointError, match='may be for 4 x 4 or for 2 x 8'):
        load_vit(small_vit(img_size=(16, 64)), source.state_dict())
    vit = small_vit(img_size=(16, 64))
    load_vit(vit, source.state_dict(), source_grid=(4, 4))
    assert not torch.equal(vit.pos_embed, source.pos_embed)
    load_vit(vit, source.state_dict(), source_grid=(2, 8))
    assert torch.equal(vit.pos_embed, source.pos_embed)


def test_patches_of_14_to_16():
    source = randomize(small_vit(img_size=56, patch_size=14))
    vit = small_vit(img_size=64, patch_size=16)
    report = load_vit(vit, source.state_dict())
    expected = F.interpolate(source.patch_embed.proj.weight, size=(16, 16), mode='bicubic', align_corners=False)
    assert torch.equal(vit.patch_embed.proj.weight, expected)
    assert report.resized == {'patch_embed.proj.weight': ((32, 3, 14, 14), (32, 3, 16, 16))}
    assert 'patch_embed.proj.weight 32 x 3 x 14 x 14 -> 32 x 3 x 16 x 16' in str(report)


# ---------------------------------------------------------------------------------------------------- misfits


def base_sized() -> dict:
    """Weights with the names and shapes of a ViT-B that need no memory."""
    with torch.device('meta'):
        shapes = {name: value.shape for name, value in ViT('base').state_dict().items()}
    return {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ('arch', 'message'),
    [
        (dict(depth=3), 'embed_dim 32, depth 2; the model of 32, depth 3'),
        (dict(depth=1), 'embed_dim 32, depth 2; the model of 32, depth 1'),
        (
            dict(embed_dim=48),
            r'embed_dim 32, depth 2; the model of 48, depth 2: choose arch dict\(embed_dim=32, depth=2',
        ),
        (dict(mlp_ratio=2.0), "'blocks.0.mlp.fc1.weight' is .128, 32. in the checkpoint, .64, 32. in the model"),
    ],
)
def test_another_size_raises_and_changes_nothing(arch, message):
    vit = small_vit(arch)
    before = copy_of(vit)
    with pytest.raises(CheckpointError, match=message):
        load_vit(vit, randomize(small_vit()).state_dict())
    assert unchanged(vit, before)


def test_another_size_is_named_if_it_has_a_name():
    with pytest.raises(CheckpointError, match="embed_dim 768, depth 12; the model of 32, depth 2: choose arch 'base'"):
        load_vit(small_vit(), base_sized())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: {}, 'no ViT in the weights: found names nothing'),
        (
            lambda s: {k: v for k, v in s.items() if 'patch_embed' not in k},
            'no ViT in the weights: found names cls_token',
        ),
        (lambda s: {k: v for k, v in s.items() if 'blocks' not in k}, 'the checkpoint has no blocks'),
        (lambda s: {k: v for k, v in s.items() if k != 'blocks.1.norm2.bias'}, 'lacks blocks.1.norm2.bias'),
        (
            lambda s: {k: v for k, v in s.items() if not k.startswith('norm.')},
            r'lacks norm.weight, norm.bias.*allow_missing',
        ),
        (lambda s: {k: v for k, v in s.items() if k != 'cls_token'}, 'pos_embed of 17 patches'),
        (
            lambda s: s | {'blocks.0.attn.weird': torch.ones(32)},
            "'blocks.0.attn.weird' of the checkpoint has no counterpart",
        ),
        (
            lambda s: s | {'reg_token': torch.ones(1, 4, 32)},
            r'the checkpoint has 4 registers; the model no registers: '
            r'set the init of these weights, or choose design=dict\(registers=4\)',
        ),
        (lambda s: s | {'blocks.0.ls1.gamma': torch.ones(3)}, r"'blocks.0.ls1.gamma' of shape \(3,\) scales"),
        (
            lambda s: s | {'blocks.1.attn.proj.bias': torch.full((32,), torch.nan)},
            "'blocks.1.attn.proj.bias' holds values that are not",
        ),
        (lambda s: s | {'patch_embed.proj.weight': torch.ones(32, 3 * 64)}, "'patch_embed.proj.weight' is .32, 192."),
    ],
)
def test_a_misfit_raises_and_changes_nothing(change, message):
    vit = small_vit()
    before = copy_of(vit)
    with pytest.raises(CheckpointError, match=message):
        load_vit(vit, change(copy_of(randomize(small_vit()))))
    assert unchanged(vit, before)


def test_a_checkpoint_without_class_token_is_refused():
    state = randomize(small_vit(class_token=False)).state_dict()
    with pytest.raises(CheckpointError, match='no class token; the model has one: choose class_token=False'):
        load_vit(small_vit(), state)


def test_missing_weights_can_be_allowed_and_are_reported(monkeypatch):
    logged = []
    monkeypatch.setattr('mae_transfer.vit.weights.checkpoint.print_log', lambda text, **options: logged.append(text))
    state = randomize(
        small_vit(final_norm=False)
    ).state_dict()  # like a model fine-tuned with average pooling: fc_norm, no norm
    vit = small_vit()
    state |= {'fc_norm.weight': torch.ones(32), 'head.weight': torch.ones(5, 32)}
    report = load_vit(vit, state, allow_missing=('norm.*',))
    assert report.missing == ['norm.weight', 'norm.bias'] and report.unexpected == ['fc_norm.weight', 'head.weight']
    text = str(report)
    assert 'loaded 28 of 30' in text and 'left as they were: norm.weight' in text and 'not used: fc_norm.weight' in text
    assert len(text.splitlines()) <= 4 and logged == [text]
