"""MoCo v3: the loss, the momentum encoder, the heads, several processes, and what a checkpoint is good for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.model.utils import revert_sync_batchnorm
from torch import nn
from torch.testing import assert_close

from mae_transfer.errors import UserError
from mae_transfer.hooks import MomentumHook
from mae_transfer.pretraining import MoCoV3
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import load_vit, read_weights
from tests.helpers import small_vit

ARCH = dict(embed_dim=16, depth=2, num_heads=2)


def small(**changes) -> MoCoV3:
    """A model of width 16 for images of 16 x 16, whose averages were moved once: they differ from the parameters."""
    torch.manual_seed(0)
    vit = dict(type='ViT', arch=ARCH, img_size=16, patch_size=4)
    model = MoCoV3(**dict(dict(vit=vit, hidden_dim=32, out_dim=8), **changes))
    with torch.no_grad():
        for parameter in (*model.vit.parameters(), *model.projector.parameters()):
            parameter += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
    model.update_momentum_encoder(0.6)
    return model


def views(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


# --- the loss ---------------------------------------------------------------------------------------------------------
def plain_loss(model: MoCoV3, images: torch.Tensor) -> torch.Tensor:
    """Algorithm 1 of the paper, step by step and photo by photo."""
    x1, x2 = images[:, 0], images[:, 1]
    q1, q2 = (model.predictor(model.projector(model.vit.tokens(x)[:, 0])) for x in (x1, x2))
    k1, k2 = (model.momentum_projector(model.momentum_vit.tokens(x)[:, 0]).detach() for x in (x1, x2))
    total = torch.tensor(0.0)
    for queries, keys in ((q1, k2), (q2, k1)):
        for i in range(len(images)):
            similar = [F.cosine_similarity(queries[i], key, dim=0) / model.temperature for key in keys]
            total = total - (similar[i] - torch.stack(similar).exp().sum().log()) / len(images)
    return 2 * model.temperature * total


@pytest.mark.parametrize('temperature', [0.2, 1.0])
def test_loss_and_gradients_are_those_of_algorithm_1(temperature):
    model, images = small(temperature=temperature), views()
    expected = plain_loss(model, images)
    wanted = torch.autograd.grad(expected, [p for p in model.parameters() if p.requires_grad])
    loss = model(images)['loss']
    found = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    assert_close(loss, expected)
    largest = max(gradient.abs().max().item() for gradient in wanted)
    for one, other in zip(found, wanted):
        assert_close(one, other, rtol=1e-4, atol=1e-5 * largest)
    assert largest > 1e-3


def test_a_query_that_is_its_key_and_no_other_has_the_least_loss():
    model, unit = small(), torch.eye(8)
    pairs = torch.stack([unit, unit], dim=1)
    outputs = model.losses(pairs, pairs)
    # Seven other keys at a right angle, for each of two views.
    assert outputs['loss'].item() == pytest.approx(2 * 0.4 * math.log(1 + 7 * math.exp(-5)), rel=1e-5)
    assert outputs['accuracy'] == 1
    assert model.losses(pairs, pairs.roll(1, 0))['accuracy'] == 0


def test_each_view_is_compared_with_the_other_one():
    model, unit = small(), torch.eye(8)
    queries, keys = torch.stack([unit, unit.roll(1, 0)], 1), torch.stack([unit.roll(1, 0), unit], 1)
    assert model.losses(queries, keys)['accuracy'] == 1
    assert model.losses(queries, keys.flip(1))['accuracy'] == 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_queries_are_compared_in_float32_under_autocast(dtype):
    model = small()
    pairs = F.normalize(torch.randn(6, 2, 8), dim=-1)
    expected = model.losses(pairs, pairs)['loss']
    with torch.autocast('cpu', dtype):
        assert torch.equal(model.losses(pairs, pairs)['loss'], expected)
        outputs = model(views())
    assert outputs['loss'].dtype == torch.float32 and outputs['loss'].isfinite()


def test_only_the_queries_have_gradients_and_the_patch_embedding_has_none():
    model = small()
    model(views())['loss'].backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    frozen = {'vit.pos_embed', 'vit.patch_embed.proj.weight', 'vit.patch_embed.proj.bias'}
    assert without == frozen | {name for name, _ in model.named_parameters() if name.startswith('momentum_')}
    thawed = small(freeze_patch_embed=False)
    thawed(views())['loss'].backward()
    assert thawed.vit.patch_embed.proj.weight.grad.abs().max() > 0


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    model = MoCoV3(dict(type='ViT', arch=ARCH, img_size=16, patch_size=4), hidden_dim=32, out_dim=8)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.1)
    hook, photos, losses, noise = MomentumHook(), torch.randn(16, 1, 3, 16, 16), [], torch.Generator().manual_seed(2)
    for step in range(30):
        model.update_momentum_encoder(hook.momentum(step / 30))
        outputs = model(photos + 0.3 * torch.randn(16, 2, 3, 16, 16, generator=noise))
        optimizer.zero_grad()
        outputs['loss'].backward()
        optimizer.step()
        losses.append(outputs['loss'].item())
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3]), losses


# --- heads and initialization -----------------------------------------------------------------------------------------
def described(layers: nn.Sequential) -> list[tuple]:
    names = {nn.Linear: 'linear', nn.SyncBatchNorm: 'bn', nn.ReLU: 'relu'}
    return [
        (names[type(layer)], tuple(layer.weight.shape) if getattr(layer, 'weight', None) is not None else None)
        for layer in layers
    ]


def test_projector_and_predictor_are_those_of_the_official_code():
    """moco/builder.py: three and two linear layers without bias, a batch norm after each, the last one without scale
    and shift."""
    with torch.device('meta'):
        model = MoCoV3(dict(type='ViT', arch='base'))
    first = [('linear', (4096, 768)), ('bn', (4096,)), ('relu', None)]
    last = [('linear', (256, 4096)), ('bn', None)]
    assert described(model.projector) == [*first, ('linear', (4096, 4096)), ('bn', (4096,)), ('relu', None), *last]
    assert described(model.momentum_projector) == described(model.projector)
    assert described(model.predictor) == [('linear', (4096, 256)), ('bn', (4096,)), ('relu', None), *last]
    assert all(layer.bias is None for layer in (*model.projector, *model.predictor) if isinstance(layer, nn.Linear))


def test_one_process_has_plain_batch_norms_with_the_same_values():
    model, plain = small(), revert_sync_batchnorm(small())
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in plain.modules())
    assert torch.equal(model(views())['loss'], plain(views())['loss'])
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_the_vit_begins_as_in_the_official_code():
    """vits.py: queries, keys and values have Xavier's bound as three matrices; the rest as one."""
    torch.manual_seed(0)
    vit = MoCoV3(dict(type='ViT', arch='192x2x3', img_size=64), hidden_dim=16, out_dim=8).vit
    bounds = {
        'blocks.0.attn.qkv.weight': 6 / (192 + 192),
        'blocks.0.attn.proj.weight': 6 / (192 + 192),
        'blocks.1.mlp.fc1.weight': 6 / (192 + 768),
        'patch_embed.proj.weight': 6 / (3 * 16 * 16 + 192),
    }
    state = vit.state_dict()
    for name, squared in bounds.items():
        assert state[name].abs().max().item() == pytest.approx(math.sqrt(squared), rel=1e-3), name
        assert state[name].std().item() == pytest.approx(math.sqrt(squared / 3), rel=2e-2), name
    assert 0 < state['cls_token'].abs().max() < 1e-5
    assert all(not value.any() for name, value in state.items() if name.endswith('.bias') and 'norm' not in name)


@pytest.mark.parametrize(
    'changes, says',
    [
        (dict(temperature=0), 'temperature above 0; found 4096, 256, 0'),
        (dict(hidden_dim=0), 'hidden_dim, out_dim and temperature above 0'),
        (dict(vit=dict(type='ViT', arch=ARCH, class_token=False)), 'set model.vit.class_token=True'),
    ],
)
def test_impossible_settings_are_refused(changes, says):
    with pytest.raises(UserError, match=says):
        MoCoV3(**dict(dict(vit=dict(type='ViT', arch=ARCH)), **changes))


def test_one_view_of_each_photo_is_no_input():
    with pytest.raises(ValueError, match=r'two views .* found \(6, 3, 16, 16\)'):
        small()(views()[:, 0])


# --- the momentum encoder ---------------------------------------------------------------------------------------------
def test_the_averages_move_by_the_official_formula():
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.update_momentum_encoder(0.9)
    after, moved = model.state_dict(), 0
    for name, value in before.items():
        if not name.startswith('momentum_') or 'running' in name or 'num_batches' in name:
            assert torch.equal(after[name], value), name
        else:
            assert_close(after[name], 0.9 * value + 0.1 * before[name.removeprefix('momentum_')])
            moved += not torch.equal(after[name], value)
    assert moved > 20
    assert torch.equal(after['momentum_vit.pos_embed'], before['vit.pos_embed'])  # no rounding of what is fixed


def test_averages_begin_at_the_parameters_and_have_the_limits_of_the_formula():
    model = MoCoV3(dict(type='ViT', arch=ARCH, img_size=16, patch_size=4), hidden_dim=32, out_dim=8)
    pairs = [(model.momentum_vit, model.vit), (model.momentum_projector, model.projector)]
    for average, source in pairs:
        assert all(torch.equal(a, b) for a, b in zip(average.state_dict().values(), source.state_dict().values()))
    model = small()
    model.update_momentum_encoder(1.0)
    assert not torch.equal(model.momentum_vit.cls_token, model.vit.cls_token)
    model.update_momentum_encoder(0.0)
    assert torch.equal(model.momentum_vit.cls_token, model.vit.cls_token)


def test_training_without_the_hook_is_refused():
    model = MoCoV3(dict(type='ViT', arch=ARCH, img_size=16, patch_size=4), hidden_dim=32, out_dim=8)
    with pytest.raises(UserError, match=r"default_hooks.momentum=dict\(type='MomentumHook'\): add it"):
        model(views())
    assert len(model.eval()(views(), mode='predict')) == 6


# --- several processes ------------------------------------------------------------------------------------------------
def with_known_statistics(model: MoCoV3) -> MoCoV3:
    """In evaluation mode: the batch norms of two halves are not those of the whole."""
    return model.eval()


def _half(rank: int, folder: Path) -> None:
    """Write one process's outputs and gradients for its half of the batch."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    model = with_known_statistics(small())
    outputs = model(views(8)[4 * rank : 4 * rank + 4])
    outputs['loss'].backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    torch.save(dict(outputs=outputs, gradients=gradients), folder / f'{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path):
    torch.multiprocessing.start_processes(_half, (tmp_path,), nprocs=2, start_method='fork')
    halves = [torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1)]
    model = with_known_statistics(small())
    whole = model(views(8))
    whole['loss'].backward()
    for name in ('loss', 'accuracy'):
        assert_close((halves[0]['outputs'][name] + halves[1]['outputs'][name]) / 2, whole[name])
    # Each half alone, as if only its own photos were compared, would have another loss.
    alone = [with_known_statistics(small())(part)['loss'] for part in views(8).split(4)]
    assert (sum(alone) / 2 - whole['loss']).abs() > 0.1
    expected = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    for name, gradient in expected.items():
        mean = (halves[0]['gradients'][name] + halves[1]['gradients'][name]) / 2  # as DDP's
        assert_close(mean, gradient, rtol=1e-4, atol=1e-5 * largest, msg=name)


# --- evaluation and checkpoints ---------------------------------------------------------------------------------------
def test_predictions_are_queries_and_keys_of_unit_length():
    model = small().eval()
    queries, keys = model(views(), mode='tensor')
    assert queries.shape == keys.shape == (6, 2, 8)
    assert_close(queries.norm(dim=-1), torch.ones(6, 2))
    samples = model(views(), mode='predict')
    assert torch.equal(torch.stack([sample['queries'] for sample in samples]), queries)
    assert torch.equal(torch.stack([sample['keys'] for sample in samples]), keys)
    with pytest.raises(ValueError, match="found 'guess'"):
        model(views(), mode='guess')


def test_a_checkpoint_lends_the_base_encoder_s_vit():
    model, vit = small(), small_vit(2)
    weights = read_weights(dict(state_dict=model.state_dict()))
    assert weights.layout == 'mae_transfer' and not weights.head and not weights.decoder
    report = load_vit(vit, dict(state_dict=model.state_dict()))
    assert not report.missing and len(report.loaded) == len(vit.state_dict())
    assert all(torch.equal(value, model.vit.state_dict()[name]) for name, value in vit.state_dict().items())
    assert {name.partition('.')[0] for name in report.unexpected} == {
        'projector',
        'predictor',
        'momentum_vit',
        'momentum_projector',
    }


def test_weights_to_start_from_are_those_of_both_vits_and_stay_in_the_patch_embedding(tmp_path):
    source = small_vit(2)
    torch.save(source.state_dict(), tmp_path / 'vit.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    model = MoCoV3(dict(type='ViT', arch=ARCH, img_size=16, patch_size=4, init_cfg=start), hidden_dim=32, out_dim=8)
    model.init_weights()
    for vit in (model.vit, model.momentum_vit):
        assert all(torch.equal(vit.state_dict()[name], value) for name, value in source.state_dict().items())
    model.update_momentum_encoder(0.99)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model(views())['loss'].backward()
    optimizer.step()
    assert torch.equal(model.vit.patch_embed.proj.weight, source.patch_embed.proj.weight)
    assert not torch.equal(model.vit.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)


def test_weights_of_the_whole_model_are_no_init_cfg():
    model = small(init_cfg=dict(type='Pretrained', checkpoint='moco.pth'))
    with pytest.raises(UserError, match='set model.vit.init_cfg, not model.init_cfg'):
        model.init_weights()


@pytest.mark.parametrize('arch', ['384x12x12'])
def test_vit_s_has_twelve_heads_and_the_published_size(arch):
    with torch.device('meta'):
        vit = ViT(arch)
    assert vit.blocks[0].attn.num_heads == 12
    assert sum(parameter.numel() for parameter in vit.parameters()) / 1e6 == pytest.approx(21.67, abs=0.01)
