"""Quality of a tokenizer."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.evaluation import TokenizerQuality


def evaluate(samples: list[dict]) -> dict:
    metric = TokenizerQuality()
    for sample in samples:  # batches of one
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def test_errors_are_averaged_and_tokens_counted_over_all_images():
    found = evaluate(
        [
            dict(error=0.01, tokens=torch.tensor([[3, 3], [3, 7]])),
            dict(error=0.03, tokens=torch.tensor([[3, 7], [7, 7]])),
        ]
    )
    assert found['tokenizer/error'] == pytest.approx(0.02)
    assert found['tokenizer/psnr'] == pytest.approx(16.9897, abs=1e-4)
    assert found['tokenizer/tokens_used'] == 2 and found['tokenizer/perplexity'] == pytest.approx(2.0)


@pytest.mark.parametrize(
    'tokens, used, perplexity', [([5] * 8, 1, 1.0), (range(8), 8, 8.0), ([0] * 6 + [1, 2], 3, 2.1)]
)
def test_a_collapsed_codebook_has_a_low_perplexity(tokens, used, perplexity):
    found = evaluate([dict(error=0.0, tokens=torch.tensor(list(tokens)).view(2, 4))])
    assert found['tokenizer/tokens_used'] == used
    assert found['tokenizer/perplexity'] == pytest.approx(perplexity, rel=0.02)


@pytest.mark.parametrize(
    'samples, says',
    [
        ([], 'no image was evaluated'),
        (
            [dict(error=float('nan'), tokens=torch.tensor([[3]]))],
            'the error of the tokenizer of 1 of 1 images is not finite',
        ),
    ],
)
def test_a_mean_that_says_nothing_is_an_error(samples, says):
    with pytest.raises(UserError, match=says):
        evaluate(samples)
