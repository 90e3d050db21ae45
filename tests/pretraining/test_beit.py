"""BEiT: loss and gradients of the official formula, random weights, masks, tokens, what a checkpoint lends."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.pretraining import DVAE, MAE, BEiT, BlockMasking
from mae_transfer.pretraining.beit import INIT_STD
from mae_transfer.vit.weights.checkpoint import load_vit, read_weights
from tests.helpers import enlarge, small_vit

VIT = dict(
    type='ViT',
    arch=dict(embed_dim=16, depth=2, num_heads=2),
    img_size=(16, 24),
    patch_size=4,
    design='beit',
    rel_pos='shared',
)
DVAE_SIZES = dict(vocab_size=12, width=8, code_dim=4, num_blocks=1, stride=2)
PARTS = dict(
    masking=dict(type='BlockMasking', ratio=0.4, least_area=2),
    target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', **DVAE_SIZES)),
    data_preprocessor=dict(type='PhotoPreprocessor'),
)


def small(vit: dict | None = None, centred_on: Tensor | None = None, **changes) -> BEiT:
    """A model of 4 x 6 patches of 4 pixels, whose tokenizer has a stride of 2: it sees pictures of 8 x 12."""
    torch.manual_seed(0)
    model = BEiT(dict(VIT, **(vit or {})), **{**PARTS, **changes})
    model.target.ready = True
    # Untrained, the tokenizer gives nearly all patches one token: its logits need the same mean.
    with torch.no_grad():
        tokenizer, seen = model.target.tokenizer, pictures() if centred_on is None else centred_on
        tokenizer.encoder[-1].bias -= tokenizer.logits(seen).mean(dim=(0, 2, 3))
    return model


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 16, 24, generator=torch.Generator().manual_seed(1))


def pictures(count: int = 3) -> Tensor:
    """What the tokenizer sees, in [0, 1]."""
    return torch.rand(count, 3, 8, 12, generator=torch.Generator().manual_seed(2))


SEEDS = torch.tensor([5, 6, 7])


# --- the loss ---------------------------------------------------------------------------------------------------------
def offset_table_rows(rows: int, columns: int) -> Tensor:
    """(1 + N, 1 + N) rows of BEiT's table, pair by pair: offsets of patches row by row; the last three are for class
    token to patch, patch to class token, and class token to itself."""
    count = (2 * rows - 1) * (2 * columns - 1)
    index = torch.empty(1 + rows * columns, 1 + rows * columns, dtype=torch.long)
    index[0], index[:, 0], index[0, 0] = count, count + 1, count + 2
    for q in range(rows * columns):
        for k in range(rows * columns):
            down, across = q // columns - k // columns, q % columns - k % columns
            index[1 + q, 1 + k] = (down + rows - 1) * (2 * columns - 1) + across + columns - 1
    return index


def official_logits(model: BEiT, x: Tensor, is_masked: Tensor) -> Tensor:
    """The formula of modeling_pretrain.py for images and a mask (B, N): logits of the masked patches of all images."""
    vit, state = model.vit, dict(model.named_parameters())
    heads, rows, columns = vit.size.num_heads, *vit.grid
    x = F.conv2d(x, state['vit.patch_embed.proj.weight'], state['vit.patch_embed.proj.bias'], stride=vit.patch_size)
    x = x.flatten(2).transpose(1, 2)
    weight = is_masked[..., None].float()
    x = x * (1 - weight) + state['mask_token'] * weight
    x = torch.cat([state['vit.cls_token'].expand(len(x), -1, -1), x], dim=1)
    bias = state['vit.rel_pos_global'][offset_table_rows(rows, columns)].permute(2, 0, 1)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'], 1e-6)

    for n in range(vit.depth):
        block = f'vit.blocks.{n}'
        q_bias, v_bias = state[f'{block}.attn.q_bias'], state[f'{block}.attn.v_bias']
        qkv_bias = torch.cat([q_bias, torch.zeros_like(q_bias), v_bias])
        qkv = F.linear(norm(x, f'{block}.norm1'), state[f'{block}.attn.qkv.weight'], qkv_bias)
        q, k, v = qkv.reshape(*x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
        attended = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(x.shape)
        attended = F.linear(attended, state[f'{block}.attn.proj.weight'], state[f'{block}.attn.proj.bias'])
        x = x + state[f'{block}.ls1.gamma'] * attended
        hidden = F.linear(norm(x, f'{block}.norm2'), state[f'{block}.mlp.fc1.weight'], state[f'{block}.mlp.fc1.bias'])
        hidden = F.linear(F.gelu(hidden), state[f'{block}.mlp.fc2.weight'], state[f'{block}.mlp.fc2.bias'])
        x = x + state[f'{block}.ls2.gamma'] * hidden
    return F.linear(norm(x, 'vit.norm')[:, 1:][is_masked], state['lm_head.weight'], state['lm_head.bias'])


@pytest.mark.parametrize('layer_scale', [0.1, 1e-5])
@pytest.mark.parametrize('trained', [False, True])
def test_loss_accuracy_and_gradients_are_the_official_ones(layer_scale, trained):
    model = small(dict(design=dict(like='beit', layer_scale=layer_scale)))
    if trained:
        tokenizer = copy.deepcopy(model.target.tokenizer)
        enlarge(model)
        model.target.tokenizer.load_state_dict(tokenizer.state_dict())
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    x, mask = images(), model.mask(images(), SEEDS)
    is_masked = mask.as_image_order().bool()
    tokens = model.target.tokenizer.tokens(pictures()).flatten(1)[is_masked]
    assert len(tokens.unique()) > 2
    logits = official_logits(model, x, is_masked)
    expected = F.cross_entropy(logits, tokens)
    wanted = torch.autograd.grad(expected, parameters)
    outputs = model(x, SEEDS, token_images=pictures())
    assert set(outputs) == {'loss', 'mlm_acc'}
    assert_close(outputs['loss'], expected)
    assert_close(outputs['mlm_acc'], (logits.argmax(-1) == tokens).float().mean())
    for one, other in zip(torch.autograd.grad(outputs['loss'], parameters), wanted, strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-6)
    if trained:
        assert min(gradient.abs().max() for gradient in wanted) > 1e-6  # each parameter has a part in it


def test_the_evaluation_has_the_loss_of_each_image():
    model = small().eval()
    samples = model(images(), SEEDS, mode='predict', token_images=pictures())
    whole = model(images(), SEEDS, token_images=pictures())['loss'].item()
    assert sum(sample['loss'] for sample in samples) / 3 == pytest.approx(whole, rel=1e-6)
    logits, mask = model(images(), SEEDS, mode='tensor')
    assert logits.shape == (*mask.masked.shape, 12)
    with pytest.raises(ValueError, match="found 'guess'"):
        model(images(), SEEDS, mode='guess')


def test_nothing_of_a_masked_patch_reaches_the_prediction():
    model = enlarge(small())
    mask = model.mask(images(), SEEDS)
    hidden = mask.as_picture(model.grid(images()), 4)
    expected = model.predict(images(), mask)
    assert torch.equal(model.predict(images() + hidden, mask), expected)
    assert not torch.equal(model.predict(images() + (1 - hidden), mask), expected)


def test_everywhere_are_the_logits_of_all_patches_in_image_order():
    model = enlarge(small())
    mask = model.mask(images(), SEEDS)
    everywhere = model.predict(images(), mask, everywhere=True)
    assert everywhere.shape == (3, 24, 12)
    index = mask.masked[..., None].expand(-1, -1, 12)
    assert_close(everywhere.gather(1, index), model.predict(images(), mask))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_loss_is_in_float32_under_autocast(dtype):
    model = small()
    expected = model(images(), SEEDS, token_images=pictures())['loss']
    with torch.autocast('cpu', dtype):
        loss = model(images(), SEEDS, token_images=pictures())['loss']
    assert loss.dtype == torch.float32
    assert_close(loss, expected, rtol=1e-2, atol=1e-2)


def test_thirty_steps_lower_the_loss():
    """Photos of one colour each: the visible patches tell the tokens of the masked ones."""
    colours = torch.rand(16, 3, 1, 1, generator=torch.Generator().manual_seed(3))
    model = small(centred_on=colours.expand(-1, -1, 8, 12))
    photos = model.data_preprocessor.from_unit(colours.expand(-1, -1, 16, 24))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses, accuracies = [], []
    for step in range(30):
        outputs = model(photos, torch.arange(16) + 16 * step)
        optimizer.zero_grad()
        outputs['loss'].backward()
        optimizer.step()
        losses.append(outputs['loss'].item())
        accuracies.append(outputs['mlm_acc'].item())
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3]), losses
    assert sum(accuracies[-3:]) > sum(accuracies[:3]) + 1, accuracies


# --- tokens -----------------------------------------------------------------------------------------------------------
def test_without_pictures_of_its_own_the_tokenizer_sees_the_vits_images_resized():
    model, mask = small(), small().mask(images(), SEEDS)
    resized = F.interpolate(
        model.data_preprocessor.to_unit(images()), size=(8, 12), mode='bicubic', antialias=True, align_corners=False
    ).clamp(0, 1)
    expected = model(images(), SEEDS, token_images=resized)['loss']
    assert torch.equal(model(images(), SEEDS)['loss'], expected)
    assert model.tokens(images(), mask).shape == mask.masked.shape
    assert not torch.equal(model(images(), SEEDS, token_images=pictures())['loss'], expected)


def test_the_tokenizer_is_not_trained():
    model = small().train()
    model(images(), SEEDS, token_images=pictures())['loss'].backward()
    assert not model.target.tokenizer.training
    assert all(p.grad is None and not p.requires_grad for p in model.target.parameters())
    without = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not without  # a parameter without gradient breaks distributed training


@pytest.mark.parametrize(
    'make, says',
    [
        (
            lambda: small()(images(), SEEDS, token_images=torch.rand(3, 3, 16, 24)),
            'are 16 x 24, but .* at 8 x 12: set token_scale .* 0.5',
        ),
        (lambda: BEiT(VIT, **{**PARTS, 'target': dict(type='PixelTarget')}), "'TokenTarget', .* found PixelTarget"),
        (lambda: BEiT(dict(VIT, rel_pos=None), **PARTS), "no positions, .*rel_pos='shared'"),
        (lambda: BEiT(VIT, **PARTS)(images(), SEEDS, token_images=pictures()), 'the tokenizer has random weights'),
        (lambda: BEiT(VIT, **{**PARTS, 'masking': dict(type='BlockMasking', ratio=0.99)}), 'keeps 0 of 4 x 6 patches'),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(make, says):
    with pytest.raises(UserError, match=says) as caught:
        make()
    assert '\n' not in str(caught.value)


def test_reconstructions_are_decoded_tokens():
    model = small().eval()
    mask = model.mask(images(), SEEDS)
    picture, hidden = model.reconstruct(images(), mask), mask.as_picture(model.grid(images()), 4)
    assert_close(picture * (1 - hidden), images() * (1 - hidden))
    assert not torch.allclose(picture * hidden, images() * hidden)


# --- masks ------------------------------------------------------------------------------------------------------------
def test_seventy_five_of_196_patches_are_masked_in_every_image():
    """README.md: --num_mask_patches 75; the official generator masks up to as many."""
    masking = BlockMasking(ratio=0.3826, least_area=16, aspect=0.3)
    noise = torch.rand(200, masking.noise_length((14, 14)))
    mask = masking((14, 14), noise)
    assert mask.masked.shape == (200, 75) and mask.keep.shape == (200, 121)
    # Blocks of 16 patches or more: few patches on their own, and few borders between masked and visible ones.
    picture = mask.as_image_order().reshape(200, 14, 14)
    borders = (picture.diff(dim=1).abs().sum() + picture.diff(dim=2).abs().sum()) / 200
    shuffled = picture.flatten(1)[:, torch.randperm(196)].reshape(200, 14, 14)
    random_borders = (shuffled.diff(dim=1).abs().sum() + shuffled.diff(dim=2).abs().sum()) / 200
    assert borders < 0.4 * random_borders


def test_a_mask_follows_from_its_seed_as_an_mae_s():
    model = small()
    mae = MAE(
        dict(VIT, rel_pos=None, design=None),
        decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
        **PARTS,
    )
    assert all(map(torch.equal, model.mask(images(), SEEDS), mae.mask(images(), SEEDS)))
    one = model.mask(images(1), SEEDS[1:2])
    assert torch.equal(one.keep[0], model.mask(images(), SEEDS).keep[1])


# --- random weights ---------------------------------------------------------------------------------------------------
def test_random_weights_are_the_official_ones():
    """modeling_pretrain.py: normal with std .02, cut off at one deviation; the last layers of branches rescaled."""
    torch.manual_seed(0)
    vit = dict(VIT, arch='128x3x2', design='beit')
    model = BEiT(vit, **PARTS)
    # The deviation of a normal distribution that is cut off at one.
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    std = INIT_STD * math.sqrt(1 - 2 * density / math.erf(math.sqrt(0.5)))
    seen = 0
    for name, value in model.named_parameters():
        last = name.rpartition('.')[2]
        if name.startswith('target.') or last == 'gamma':
            continue
        if last.endswith('bias') or last == 'rel_pos_global':
            assert not value.any(), name
        elif '.norm' in name:
            assert (value == 1).all(), name
        else:
            number = int(name.split('.')[2]) + 1 if name.endswith(('attn.proj.weight', 'mlp.fc2.weight')) else 0.5
            scale = math.sqrt(2 * number)
            assert value.abs().max() <= INIT_STD / scale * (1 + 1e-6), name
            assert value.std().item() * scale == pytest.approx(std, rel=0.15 if value.numel() < 999 else 0.03), name
            seen += 1
    assert seen == 3 * 4 + 4  # qkv, proj, fc1 and fc2 of a block; patch embedding, class and mask token, head
    assert all((p == 0.1).all() for name, p in model.named_parameters() if name.endswith('gamma'))


# --- checkpoints ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('rel_pos, tables', [('shared', 1), ('table', 2)])
def test_a_checkpoint_lends_its_vit(rel_pos, tables):
    """To one with a table for each block, as BEiT is fine-tuned, it lends a copy of the shared one to each."""
    model = enlarge(small())
    state = dict(state_dict=model.state_dict())
    weights = read_weights(state)
    assert weights.layout == 'mae_transfer' and not weights.head and not weights.decoder
    vit = small_vit(2, img_size=(16, 24), design='beit', rel_pos=rel_pos)
    report = load_vit(vit, state)
    assert not report.missing and not report.at_zero and len(report.loaded) == len(vit.state_dict())
    assert len(vit.state_dict()) == len(model.vit.state_dict()) - 1 + tables
    assert {name.partition('.')[0] for name in report.unexpected} == {'mask_token', 'lm_head', 'target'}
    assert_close(vit.tokens(images()), model.vit.tokens(images()))


def test_a_run_starts_from_a_vit_and_a_tokenizer_s_file(tmp_path):
    source, tokenizer = enlarge(small()), DVAE(**DVAE_SIZES)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'beit.pth')
    torch.save(tokenizer.state_dict(), tmp_path / 'tokenizer.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'beit.pth'))
    target = dict(
        type='TokenTarget', tokenizer=dict(type='DVAE', checkpoint=str(tmp_path / 'tokenizer.pth'), **DVAE_SIZES)
    )
    model = BEiT(dict(VIT, init_cfg=start), **{**PARTS, 'target': target})
    head = model.lm_head.weight.clone()
    model.init_weights()
    assert model.target.ready and torch.equal(model.lm_head.weight, head)
    for name, value in source.vit.state_dict().items():
        assert torch.equal(model.vit.state_dict()[name], value), name
    for name, value in tokenizer.state_dict().items():
        assert torch.equal(model.target.tokenizer.state_dict()[name], value), name
