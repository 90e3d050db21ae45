"""Quality of a tokenizer: its reconstruction error, and how much of the vocabulary it uses."""

from __future__ import annotations

import math

import numpy as np
from mmengine.evaluator import BaseMetric

from ..registry import METRICS
from .finite import check_finite


@METRICS.register_module()
class TokenizerQuality(BaseMetric):
    """Reconstruction error of held-out photos, and use of the vocabulary; a collapsed codebook uses few tokens.

    Reports ``tokenizer/error``, the mean squared error of pixels in [0, 1] decoded from the most probable tokens;
    ``tokenizer/psnr`` of that mean, in dB; ``tokenizer/tokens_used``, the number of distinct tokens that occur;
    ``tokenizer/perplexity``, the exponential of the entropy of the token frequencies: the number of equally frequent
    tokens with the same entropy.

    Raises:
        UserError: no image was evaluated; an error that is not finite.
    """

    default_prefix = 'tokenizer'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep the errors and tokens of the images, from ``DVAE.forward(mode='predict')``."""
        self.results.extend(
            (sample['error'], np.asarray(sample['tokens'], np.int32).ravel()) for sample in data_samples
        )

    def compute_metrics(self, results: list[tuple[float, np.ndarray]]) -> dict:
        """Compute the metrics over all images."""
        check_finite([error for error, _ in results], 'error of the tokenizer')
        error = math.fsum(image_error for image_error, _ in results) / len(results)
        _, counts = np.unique(np.concatenate([tokens for _, tokens in results]), return_counts=True)
        shares = counts / counts.sum()
        return dict(
            error=error,
            psnr=-10 * math.log10(max(error, 1e-12)),
            tokens_used=len(counts),
            perplexity=math.exp(-(shares * np.log(shares)).sum()),
        )
