"""A small discrete VAE: a tokenizer that this project trains itself."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from .tokenizer import Tokenizer


class _Residual(nn.Module):
    """Two convolutions beside their input."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def _gumbel(logits: Tensor, seeds: Tensor | None) -> Tensor:
    """Gumbel noise in the shape of the logits (B, ...), each image's by its own seed, but not the same on all kinds of
    devices.

    Masks are made by a generator that is (``seeded_noise``); for a number for each token of the vocabulary it would
    take longer than the convolutions do.
    """
    noise = torch.empty_like(logits)
    if seeds is None:
        noise.uniform_()
    else:
        generator = torch.Generator(logits.device)
        for own, seed in zip(noise, seeds.tolist()):
            own.uniform_(generator=generator.manual_seed(seed))
    return noise.clamp_(2**-25, 1 - 2**-24).log_().neg_().log_().neg_()


@MODELS.register_module()
class DVAE(Tokenizer, BaseModel):
    """Discrete VAE with a Gumbel-softmax bottleneck (DALL-E, Ramesh et al. 2021, section 2.1 and App. A), of a small
    make.

    The encoder gives each square of ``stride`` pixels logits over a vocabulary; in training a relaxed sample at
    ``temperature`` mixes code vectors, and the decoder makes the image of them. The loss is the squared error of the
    pixels in [0, 1], plus ``kl_weight`` times the Kullback-Leibler divergence of a token's distribution from the
    uniform one, in nats. Ours, where DALL-E has others: strided and transposed convolutions, squared error in place of
    a logit-Laplace density, the widths and the weight.

    Images come in [0, 1], which ``PhotoPreprocessor(mean=(0, 0, 0), std=(255, 255, 255))`` makes. The sample's noise
    follows from each image's seed, as masks do.

    Args:
        vocab_size: number of tokens V.
        width: channels within encoder and decoder.
        code_dim: length of a token's vector.
        num_blocks: residual blocks, at full stride, in each of encoder and decoder.
        stride: pixels, along each side, that one token stands for; a power of two.
        channels: of the images.
        kl_weight: see above.
        data_preprocessor: config of the preprocessor.

    Attributes ``temperature`` and ``kl_share`` (of ``kl_weight``) are set by
    :class:`~mae_transfer.hooks.AnnealingHook`.

    Raises:
        UserError: sizes that cannot be; a preprocessor that does not give [0, 1].
    """

    invertible = True
    advice = 'train one with tools/train.py configs/tokenizer_dvae.py and give the sizes that it was trained with'

    def __init__(
        self,
        vocab_size: int = 8192,
        width: int = 256,
        code_dim: int = 256,
        num_blocks: int = 2,
        stride: int = 8,
        channels: int = 3,
        kl_weight: float = 2e-3,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        with MODELS.switch_scope_and_registry(SCOPE):
            super().__init__(data_preprocessor, init_cfg)
        halvings = int(math.log2(stride)) if stride > 1 else 0
        if 2**halvings != stride or not halvings:
            raise UserError(f'DVAE.stride is a power of two, 2 or more; found {stride}')
        if vocab_size < 2:
            raise UserError(f'DVAE.vocab_size is 2 or more; found {vocab_size}')
        mean, std = (getattr(self.data_preprocessor, name, None) for name in ('mean', 'std'))
        if mean is not None and not mean.is_meta and (mean.any() or (std != 255).any()):
            raise UserError(
                'a DVAE takes images in [0, 1]: set data_preprocessor.mean to zeros and data_preprocessor.std to 255s; '
                'found '
                f'mean {mean.flatten().tolist()}, std {std.flatten().tolist()}'
            )
        self.vocab_size, self.stride, self.channels, self.kl_weight = vocab_size, stride, channels, kl_weight
        self.temperature, self.kl_share = 1.0, 1.0
        down, up = [], []
        for step in range(halvings):
            last = step == halvings - 1
            down += [nn.Conv2d(width if step else channels, width, 4, 2, 1), *([] if last else [nn.ReLU()])]
            up += [nn.ReLU(), nn.ConvTranspose2d(width, channels if last else width, 4, 2, 1)]
        self.encoder = nn.Sequential(
            *down, *(_Residual(width) for _ in range(num_blocks)), nn.ReLU(), nn.Conv2d(width, vocab_size, 1)
        )
        self.codebook = nn.Parameter(torch.randn(vocab_size, code_dim))
        self.decoder = nn.Sequential(nn.Conv2d(code_dim, width, 1), *(_Residual(width) for _ in range(num_blocks)), *up)

    def forward(self, inputs: Tensor, seeds: Tensor | None = None, mode: str = 'loss'):
        """One pass, as MMEngine's runner asks for it.

        Args:
            inputs: (B, C, H, W) in [0, 1], sides multiples of the stride.
            seeds: (B,) int64: each image's noise follows from its seed; None draws from the global generator.
            mode: 'loss' for training; 'predict' for evaluation; 'tensor' for images decoded from the most probable
                tokens.

        Returns:
            'loss': dict of the scalars ``loss_pixels`` and ``loss_kl``, whose sum is minimised, ``kl`` in nats a token,
            the batch's number of ``tokens`` in use and the ``temperature``. 'predict': for each image a dict with its
            mean squared ``error`` when decoded from its most probable ``tokens`` (h, w). 'tensor': (B, C, H, W).
        """
        if mode == 'loss':
            return self._losses(inputs, seeds)
        tokens = self.tokens(inputs)
        images = self.decode(tokens)
        if mode == 'tensor':
            return images
        if mode == 'predict':
            errors = (images - inputs).square().mean(dim=(1, 2, 3)).tolist()
            return [dict(error=error, tokens=own) for error, own in zip(errors, tokens.cpu())]
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor'; found '{mode}'")

    def _losses(self, inputs: Tensor, seeds: Tensor | None) -> dict[str, Tensor]:
        logits = self.logits(inputs).float()
        images = self._decode(((logits + _gumbel(logits, seeds)) / self.temperature).softmax(dim=1))
        log_q = logits.log_softmax(dim=1)
        kl = (log_q.exp() * log_q).sum(dim=1).mean() + math.log(self.vocab_size)
        used = logits.new_zeros(self.vocab_size).index_fill_(0, logits.argmax(dim=1).flatten(), 1.0).sum()
        return dict(
            loss_pixels=(images.float() - inputs).square().mean(),
            loss_kl=self.kl_weight * self.kl_share * kl,
            kl=kl.detach(),
            tokens=used,
            temperature=torch.tensor(self.temperature, device=used.device),
        )

    def logits(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, V, H / stride, W / stride).

        Raises:
            UserError: sides that the stride does not divide; another number of channels.
        """
        channels, height, width = images.shape[1:]
        if height % self.stride or width % self.stride or channels != self.channels:
            raise UserError(
                f'DVAE takes {self.channels} channels and sides that are multiples of its stride {self.stride}; found '
                'images '
                f'of {channels} x {height} x {width}'
            )
        return self.encoder(2 * images - 1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, h, w) to images (B, C, h * stride, w * stride), float32 in [0, 1]."""
        return (
            self._decode(F.one_hot(tokens, self.vocab_size).movedim(-1, 1).to(self.codebook.dtype)).float().clamp(0, 1)
        )

    def _decode(self, weights: Tensor) -> Tensor:
        """(B, V, h, w), each token's share, to images that may reach a little beyond [0, 1]."""
        return 0.5 + 0.5 * self.decoder(torch.einsum('bvhw,vd->bdhw', weights, self.codebook))
