"""A small discrete VAE: a tokenizer that this project trains itself."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from .tokenizer import Tokenizer


class _Residual(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def _gumbel(logits: Tensor, seeds: Tensor | None) -> Tensor:
    """Gumbel noise in the shape of the logits (B, ...), from the seeds (B,) of the images or the global generator.

    Unlike the noise of masks (``seeded_noise``) it differs between CPU and GPU: with ``seeded_noise``, drawing a number
    for each token of the vocabulary would take longer than the convolutions.
    """
    noise = torch.empty_like(logits)
    if seeds is None:
        noise.uniform_()
    else:
        generator = torch.Generator(logits.device)
        for of_image, seed in zip(noise, seeds.tolist()):
            of_image.uniform_(generator=generator.manual_seed(seed))
    return noise.clamp_(2**-25, 1 - 2**-24).log_().neg_().log_().neg_()


@MODELS.register_module()
class DVAE(Tokenizer, BaseModel):
    """A small discrete VAE with a Gumbel-softmax bottleneck (DALL-E, Ramesh et al. 2021, section 2.1 and App. A).

    The encoder computes logits over the vocabulary for each square of ``stride`` x ``stride`` pixels. In training, a
    relaxed sample at ``temperature`` mixes code vectors, from which the decoder reconstructs the image. The loss is the
    squared error of the pixels in [0, 1], plus ``kl_weight`` times the Kullback-Leibler divergence of a token's
    distribution from the uniform one, in nats. Strided and transposed convolutions, the squared error instead of a
    logit-Laplace density, the widths and ``kl_weight`` are our choices and differ from DALL-E's.

    Images must be in [0, 1], as ``PhotoPreprocessor(mean=(0, 0, 0), std=(255, 255, 255))`` returns them. The noise of
    the sample depends on the seed of the image, as masks do.

    Args:
        vocab_size: number of tokens V.
        width: channels of the hidden layers of encoder and decoder.
        code_dim: length of a token's code vector.
        num_blocks: residual blocks, at full stride, in the encoder and in the decoder.
        stride: side in pixels of the square that one token stands for; a power of two.
        channels: channels of the images.
        kl_weight: see above.
        data_preprocessor: config of the preprocessor.

    Attributes:
        temperature: of the relaxed sample; set by :class:`~mae_transfer.hooks.AnnealingHook`.
        kl_share: factor on ``kl_weight``, 0 to 1; set by the same hook.

    Raises:
        UserError: impossible sizes; a preprocessor that does not return images in [0, 1].
    """

    invertible = True
    advice = 'train one with tools/train.py configs/tokenizer_dvae.py and set the sizes that it was trained with'

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
            raise UserError(f'DVAE.stride must be a power of two, 2 or more; found {stride}')
        if vocab_size < 2:
            raise UserError(f'DVAE.vocab_size must be 2 or more; found {vocab_size}')
        _check_preprocessor(self.data_preprocessor)
        self.vocab_size, self.stride, self.channels, self.kl_weight = vocab_size, stride, channels, kl_weight
        self.temperature, self.kl_share = 1.0, 1.0
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for step in range(halvings):
            last = step == halvings - 1
            down.append(nn.Conv2d(width if step else channels, width, 4, 2, 1))
            if not last:
                down.append(nn.ReLU())
            up += [nn.ReLU(), nn.ConvTranspose2d(width, channels if last else width, 4, 2, 1)]
        self.encoder = nn.Sequential(
            *down, *(_Residual(width) for _ in range(num_blocks)), nn.ReLU(), nn.Conv2d(width, vocab_size, 1)
        )
        self.codebook = nn.Parameter(torch.randn(vocab_size, code_dim))
        self.decoder = nn.Sequential(nn.Conv2d(code_dim, width, 1), *(_Residual(width) for _ in range(num_blocks)), *up)

    def forward(
        self, inputs: Tensor, seeds: Tensor | None = None, mode: str = 'loss'
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """One forward pass, with the modes of MMEngine's runner.

        Args:
            inputs: (B, C, H, W) in [0, 1]; H and W are multiples of the stride.
            seeds: (B,) int64; the noise of an image depends on its seed alone. None: noise comes from PyTorch's global
                generator.
            mode: 'loss' for training; 'predict' for evaluation; 'tensor' for reconstructions.

        Returns:
            'loss': dict of the scalars ``loss_pixels`` and ``loss_kl``, whose sum is minimised, ``kl`` in nats per
            token, the number of different ``tokens`` in the batch and the ``temperature``. 'predict': for each image a
            dict with its most probable ``tokens`` (h, w) and the mean squared ``error`` of the image decoded from
            them. 'tensor': the images (B, C, H, W) decoded from the most probable tokens.
        """
        if mode == 'loss':
            return self._losses(inputs, seeds)
        tokens = self.tokens(inputs)
        images = self.decode(tokens)
        if mode == 'tensor':
            return images
        if mode == 'predict':
            errors = (images - inputs).square().mean(dim=(1, 2, 3)).tolist()
            return [dict(error=error, tokens=of_image) for error, of_image in zip(errors, tokens.cpu())]
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
            UserError: a side that is not a multiple of the stride; another number of channels.
        """
        channels, height, width = images.shape[1:]
        if height % self.stride or width % self.stride or channels != self.channels:
            raise UserError(
                f'DVAE takes images of {self.channels} channels and sides that are multiples of its stride '
                f'{self.stride}; found {channels} x {height} x {width}'
            )
        return self.encoder(2 * images - 1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, h, w) to images (B, C, h * stride, w * stride), float32 in [0, 1]."""
        weights = F.one_hot(tokens, self.vocab_size).movedim(-1, 1).to(self.codebook.dtype)
        return self._decode(weights).float().clamp(0, 1)

    def _decode(self, weights: Tensor) -> Tensor:
        """Mixing weights of the tokens (B, V, h, w) to images (B, C, H, W), which may leave [0, 1] slightly."""
        return 0.5 + 0.5 * self.decoder(torch.einsum('bvhw,vd->bdhw', weights, self.codebook))


def _check_preprocessor(preprocessor: BaseDataPreprocessor) -> None:
    """Refuse a preprocessor whose mean and standard deviation do not give images in [0, 1]."""
    mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
    if mean is None or std is None or mean.is_meta:
        return
    if mean.any() or (std != 255).any():
        raise UserError(
            'a DVAE takes images in [0, 1]: set data_preprocessor.mean to zeros and data_preprocessor.std to 255s; '
            f'found mean {mean.flatten().tolist()}, std {std.flatten().tolist()}'
        )
