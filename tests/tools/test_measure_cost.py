"""tools/measure_cost.py: FLOPs as the paper has them, steps measured in turns, what it refuses."""

from __future__ import annotations

import importlib
import json
from functools import cache

import pytest
import torch
from mmengine.config import Config

from mae_transfer.registry import MODELS
from tests.tools.commands import REPOSITORY, call, error_line

ABLATIONS = REPOSITORY / 'configs' / 'ablations'
BASELINE, MASK_TOKENS, DEPTH_1 = (
    ABLATIONS / f'table{name}.py'
    for name in ('1a_decoder_depth_8', '1c_encoder_with_mask_tokens', '1a_decoder_depth_1')
)
SMALL = (
    '--arch',
    '32x2x2',
    '--img-size',
    32,
    '--patch-size',
    8,
    '--batch',
    2,
    '--rounds',
    2,
    '--warm-up',
    1,
    '--threads',
    1,
)


@pytest.fixture(autouse=True)
def tools_folder(monkeypatch):
    """In front of the search path, as it is for a script that lies there."""
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))


@cache
def counted(path) -> dict:
    return importlib.import_module('measure_cost').flops(Config.fromfile(path).model)


def test_mask_tokens_in_the_encoder_cost_what_the_paper_says():
    # Table 1c: 3.3 times the FLOPs.
    assert counted(MASK_TOKENS)['total'] / counted(BASELINE)['total'] == pytest.approx(3.3, abs=0.1)


def test_the_decoder_costs_what_the_paper_says():
    # Section 4.1: 9 % of ViT-L's FLOPs per token. With mask tokens both see all 197.
    cost = counted(MASK_TOKENS)
    assert cost['decoder'] / cost['encoder'] == pytest.approx(0.09, abs=0.005)


def test_flops_are_those_of_the_matrix_products():
    """By hand: a ViT of 8 x 1 on 4 of 16 patches of 12 values, a decoder of 4 x 1."""

    def block(tokens: int, width: int) -> int:
        # qkv, projection and an MLP of four times the width; scores and their sums.
        return tokens * 12 * width**2 + 2 * tokens**2 * width

    model = dict(
        type='MAE',
        vit=dict(type='ViT', arch=dict(embed_dim=8, depth=1, num_heads=2), img_size=8, patch_size=2),
        masking=dict(type='RandomMasking'),
        decoder=dict(type='MAEDecoder', embed_dim=4, depth=1, num_heads=1),
        target=dict(type='PixelTarget'),
    )
    found = importlib.import_module('measure_cost').flops(model)
    assert found['encoder'] == 2 * (4 * 12 * 8 + block(1 + 4, 8))
    assert found['decoder'] == 2 * (5 * 8 * 4 + block(1 + 16, 4) + 12 * 4 * 12)
    assert found['target'] == 0 and found['total'] == found['encoder'] + found['decoder']


@pytest.mark.parametrize(
    'target, least',
    [
        (dict(type='PCATarget', components=6), 2 * 12 * 12 * 6),
        (dict(type='TokenTarget', tokenizer=dict(type='DVAE', width=4, vocab_size=16)), 10_000),
    ],
)
def test_a_targets_own_cost_is_counted_without_its_weights(target, least):
    model = dict(
        type='MAE',
        vit=dict(type='ViT', arch=dict(embed_dim=8, depth=1, num_heads=2), img_size=8, patch_size=2),
        masking=dict(type='RandomMasking'),
        decoder=dict(type='MAEDecoder', embed_dim=4, depth=1, num_heads=1),
        target=target,
    )
    found = importlib.import_module('measure_cost').flops(model)['target']
    assert found == least if target['type'] == 'PCATarget' else found > least


def test_every_config_is_measured(tmp_path):
    configs = [tmp_path / f'{name}.py' for name in ('plain', 'masked', 'pca')]
    for file, row in zip(configs, (BASELINE, MASK_TOKENS, ABLATIONS / 'table1d_target_pca.py')):
        file.write_text(f"_base_ = ['{row}']\nmodel = dict(decoder=dict(embed_dim=16, num_heads=2, depth=1))\n")
    ended = call('measure_cost', *configs, *SMALL, '--json', tmp_path / 'cost.json')
    assert ended.code == 0, ended.err
    rows = [row.strip('| ').split(' | ') for row in ended.out.splitlines() if row.startswith('| ')][1:]
    kept = json.loads((tmp_path / 'cost.json').read_text())['rows']
    assert [row[0] for row in rows] == [row['config'] for row in kept] == [path.stem for path in configs]
    assert rows[0][2] == '1.00' and float(rows[1][2]) == pytest.approx(
        kept[1]['flops']['total'] / kept[0]['flops']['total'], abs=0.006
    )
    assert kept[1]['flops']['encoder'] > 2 * kept[0]['flops']['encoder']
    for row, own in zip(rows, kept):
        assert len(own['all_seconds']) == 2 and min(own['all_seconds']) > 0
        assert float(row[5].rstrip('x')) == pytest.approx(kept[0]['seconds'] / own['seconds'], abs=0.006)


def test_weights_of_the_same_name_and_shape_are_shared():
    models = []
    for path in (BASELINE, MASK_TOKENS, DEPTH_1):
        model = Config.fromfile(path).model.to_dict()
        model['vit'].update(arch=dict(embed_dim=16, depth=1, num_heads=2), img_size=32)
        model['decoder'].update(embed_dim=16 if path != DEPTH_1 else 8, num_heads=2)
        models.append(MODELS.build(model))
    importlib.import_module('measure_cost').share_weights(models)
    one, other, narrow = (dict(model.named_parameters()) for model in models)
    assert (
        one['vit.blocks.0.attn.qkv.weight']
        is other['vit.blocks.0.attn.qkv.weight']
        is narrow['vit.blocks.0.attn.qkv.weight']
    )
    assert (
        one['decoder.pred.weight'] is other['decoder.pred.weight']
        and one['decoder.pred.weight'] is not narrow['decoder.pred.weight']
    )
    for model in models:  # each still works, and trains its own
        model(torch.randn(2, 3, 32, 32))['loss'].backward()


@pytest.mark.parametrize(
    'arguments, words',
    [
        (
            [BASELINE, '--arch', 'enormous'],
            '--arch enormous: give one of tiny, small, base, large, huge, or width x depth x heads',
        ),
        ([BASELINE, '--rounds', 0], '--batch, --rounds and --threads must be 1 at least'),
        (['configs/nothing.py'], 'config configs/nothing.py does not exist'),
        ([REPOSITORY / 'configs' / 'in1k_finetune_vitb.py'], 'is no pre-training'),
        pytest.param(
            [BASELINE, '--device', 'cuda'],
            'PyTorch finds no GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is one'),
        ),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(arguments, words):
    assert words in error_line(call('measure_cost', *arguments))
