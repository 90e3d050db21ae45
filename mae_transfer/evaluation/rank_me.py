"""RankMe: how many directions the features of photos fill."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UserError

#: Added to each share, as in the paper's equation, so that a share of 0 has a logarithm.
EPS = 1e-7


def rank_me(features: Tensor) -> float:
    """The effective rank of features, as RankMe has it (Garrido et al. 2023, arXiv 2210.02885, equation 1):

        RankMe(Z) = exp(-sum_k p_k log p_k),  p_k = s_k(Z) / sum_j s_j(Z) + 1e-7

    where s_k are the singular values of Z. It lies between 1, where all features point the same way, and min(N, D). It
    grows with the number of images: only values of as many images compare. As in the paper nothing is centred, so that
    features with a large common part have a low rank.

    Args:
        features: (N, D), of any float type; computed in float64.

    Raises:
        UserError: no image; features that are not finite, or all zero.
    """
    if not len(features) or not features.isfinite().all():
        raise UserError('RankMe needs finite features of at least one image: is the training broken?')
    values = torch.linalg.svdvals(features.double())
    if not (total := values.sum()) > 0:
        raise UserError('RankMe has no value where all features are zero: is the training broken?')
    shares = values / total + EPS
    return (-(shares * shares.log()).sum()).exp().item()
