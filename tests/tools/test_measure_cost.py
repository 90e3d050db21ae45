"""tools/measure_cost.py: its table of FLOPs and seconds, and which options it refuses."""

from __future__ import annotations

import json

import pytest
import torch

from tests.tools.commands import REPOSITORY, call, error_line

ABLATIONS = REPOSITORY / 'configs' / 'ablations'
BASELINE, MASK_TOKENS = ABLATIONS / 'table1a_decoder_depth_8.py', ABLATIONS / 'table1c_encoder_with_mask_tokens.py'
SMALL = (
    *('--arch', '32x2x2', '--img-size', 32, '--patch-size', 8),
    *('--batch', 2, '--rounds', 2, '--warm-up', 1, '--threads', 1),
)


def test_every_config_is_measured(tmp_path):
    configs = [tmp_path / f'{name}.py' for name in ('plain', 'masked', 'pca', 'tokens')]
    rows = (BASELINE, MASK_TOKENS, ABLATIONS / 'table1d_target_pca.py', ABLATIONS / 'table1d_target_dvae_token.py')
    for file, row in zip(configs, rows):
        file.write_text(f"_base_ = ['{row}']\nmodel = dict(decoder=dict(embed_dim=16, num_heads=2, depth=1))\n")
    ended = call('measure_cost', *configs, *SMALL, '--json', tmp_path / 'new' / 'cost.json')
    assert ended.code == 0, ended.err
    rows = [row.strip('| ').split(' | ') for row in ended.out.splitlines() if row.startswith('| ')][1:]
    kept = json.loads((tmp_path / 'new' / 'cost.json').read_text())['rows']
    assert [row[0] for row in rows] == [row['config'] for row in kept] == [path.stem for path in configs]
    assert rows[0][2] == '1.00' and float(rows[1][2]) == pytest.approx(
        kept[1]['flops']['total'] / kept[0]['flops']['total'], abs=0.006
    )
    assert kept[1]['flops']['encoder'] > 2 * kept[0]['flops']['encoder']
    for row, own in zip(rows, kept):
        assert len(own['all_seconds']) == 2 and min(own['all_seconds']) > 0
        assert float(row[5].rstrip('x')) == pytest.approx(kept[0]['seconds'] / own['seconds'], abs=0.006)


def test_flops_alone_are_counted_at_the_configs_own_size():
    ended = call('measure_cost', BASELINE, MASK_TOKENS, '--flops-only')
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-2:] == [
        '| table1a_decoder_depth_8 | 40.96 | 1.00 |  |  |  |',
        '| table1c_encoder_with_mask_tokens | 133.5 | 3.26 |  |  |  |',
    ]


@pytest.mark.parametrize(
    'arguments, words',
    [
        ([BASELINE, '--arch', 'enormous'], "unknown arch 'enormous': choose one of tiny, small, base, large, huge, or"),
        ([BASELINE, '--rounds', 0], '--batch, --rounds and --threads must be 1 or more'),
        (['configs/nothing.py'], 'config configs/nothing.py does not exist'),
        ([REPOSITORY / 'configs' / 'in1k_finetune_vitb.py'], 'is not a pre-training config: its model is not an MAE'),
        ([BASELINE, '--json', REPOSITORY], f"--json: '{REPOSITORY}' is a folder: name a file in it"),
        pytest.param(
            [BASELINE, '--device', 'cuda'],
            'PyTorch finds no GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is one'),
        ),
    ],
)
def test_impossible_options_are_reported_in_one_line(arguments, words):
    assert words in error_line(call('measure_cost', *arguments))
