"""FLOPs, compared with the paper's and with a count by hand."""

from __future__ import annotations

from functools import cache

import pytest

from mae_transfer.compat.package_configs import CONFIGS
from mae_transfer.experiments.flops import count_flops
from mae_transfer.pretraining import MAEDecoder
from mae_transfer.registry import MODELS
from mae_transfer.settings import read_config

BASELINE, MASK_TOKENS = 'table1a_decoder_depth_8', 'table1c_encoder_with_mask_tokens'


def small_mae(target: dict, decoder: str = 'MAEDecoder') -> dict:
    """A ViT of 8 x 1 on 4 of 16 patches of 12 values, a decoder of 4 x 1."""
    return dict(
        type='MAE',
        data_preprocessor=dict(type='PhotoPreprocessor'),
        vit=dict(type='ViT', arch='8x1x2', img_size=8, patch_size=2),
        masking=dict(type='RandomMasking'),
        decoder=dict(type=decoder, embed_dim=4, depth=1, num_heads=1),
        target=target,
    )


@cache
def counted(name: str) -> dict:
    return count_flops(read_config(CONFIGS / 'ablations' / f'{name}.py').model)


def test_mask_tokens_in_the_encoder_cost_as_much_as_in_the_paper():
    # Table 1c: 3.3 times the FLOPs.
    assert counted(MASK_TOKENS)['total'] / counted(BASELINE)['total'] == pytest.approx(3.3, abs=0.1)


def test_the_decoder_costs_as_much_as_in_the_paper():
    # Section 4.1: 9 % of ViT-L's FLOPs per token. With mask tokens in the encoder, both process all 197 tokens.
    cost = counted(MASK_TOKENS)
    assert cost['decoder'] / cost['encoder'] == pytest.approx(0.09, abs=0.005)


def test_flops_are_those_of_the_matrix_products():
    def block(tokens: int, width: int, computed: int) -> int:
        # Keys and values of all tokens; queries, projection and an MLP of four times the width of those that are
        # computed; scores and weighted sums of the values.
        return (2 * tokens + 10 * computed) * width**2 + 2 * computed * tokens * width

    found = count_flops(small_mae(dict(type='PixelTarget')))
    assert found['encoder'] == 2 * (4 * 12 * 8 + block(1 + 4, 8, 5))
    assert found['decoder'] == 2 * (5 * 8 * 4 + block(1 + 16, 4, 12) + 12 * 4 * 12)
    assert found['target'] == 0 and found['total'] == found['encoder'] + found['decoder']


def test_a_decoder_of_the_users_own_is_counted():
    @MODELS.register_module(name='OwnDecoder')
    class OwnDecoder(MAEDecoder):
        pass

    try:
        own = count_flops(small_mae(dict(type='PixelTarget'), 'OwnDecoder'))
    finally:
        MODELS.module_dict.pop('OwnDecoder')
    assert own == count_flops(small_mae(dict(type='PixelTarget')))


@pytest.mark.parametrize(
    'target, least',
    [
        (dict(type='PCATarget', components=6), 2 * 12 * 12 * 6),
        (dict(type='TokenTarget', tokenizer=dict(type='DVAE', width=4, vocab_size=16)), 10_000),
    ],
)
def test_the_cost_of_a_target_is_counted_without_its_weights(target, least):
    found = count_flops(small_mae(target))['target']
    assert found == least if target['type'] == 'PCATarget' else found > least
