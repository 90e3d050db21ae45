"""The encoder of DALL-E's discrete VAE, whose tokens are the targets of BEiT and of MAE Table 1d."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS
from .tokenizer import Tokenizer

#: DALL-E maps its pixels into (.1, .9), as its logit-Laplace density requires (Ramesh et al. 2021, App. A.3).
_MARGIN = 0.1
_HALVINGS = 3  # a max-pool follows each group but the last


class _Conv(nn.Module):
    """A convolution that keeps the size; its parameters have the published names ``w`` and ``b``."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.w = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5)
        self.b = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.w, self.b, padding='same')


class _Block(nn.Module):
    """A bottleneck of four convolutions, each after a ReLU, added to its input with a small gain."""

    def __init__(self, inputs: int, outputs: int, gain: float):
        super().__init__()
        self.gain, hidden = gain, outputs // 4
        self.id_path = _Conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.res_path = nn.Sequential(
            OrderedDict(
                relu_1=nn.ReLU(),
                conv_1=_Conv(inputs, hidden, 3),
                relu_2=nn.ReLU(),
                conv_2=_Conv(hidden, hidden, 3),
                relu_3=nn.ReLU(),
                conv_3=_Conv(hidden, hidden, 3),
                relu_4=nn.ReLU(),
                conv_4=_Conv(hidden, outputs, 1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.id_path(x) + self.gain * self.res_path(x)


@MODELS.register_module()
class DALLEEncoder(Tokenizer):
    """The published encoder of DALL-E's dVAE: stride 8, 8192 tokens, 53.8 million parameters under their published
    names.

    It has no decoder: its tokens cannot be turned into pixels. The published code runs its convolutions in float16 on a
    GPU; here they run in float32, so the token may differ if the two largest logits are almost equal.

    Args:
        hidden: width of the first of four groups; the others are two, four and eight times as wide.
        group_blocks: blocks in each of the four groups.
        vocab_size: number of tokens.
        channels: channels of the images.
    """

    stride = 2**_HALVINGS
    advice = 'give the published encoder.pkl, or its state_dict() saved by torch.save or safetensors'

    def __init__(self, hidden: int = 256, group_blocks: int = 2, vocab_size: int = 8192, channels: int = 3):
        super().__init__()
        self.vocab_size, self.channels = vocab_size, channels
        gain = 1 / ((_HALVINGS + 1) * group_blocks) ** 2
        layers: OrderedDict[str, nn.Module] = OrderedDict(input=_Conv(channels, hidden, 7))
        width = hidden
        for group in range(_HALVINGS + 1):
            blocks, outputs = nn.Sequential(), hidden * 2**group
            for number in range(group_blocks):
                blocks.add_module(f'block_{number + 1}', _Block(width, outputs, gain))
                width = outputs
            if group < _HALVINGS:
                blocks.add_module('pool', nn.MaxPool2d(2))
            layers[f'group_{group + 1}'] = blocks
        layers['output'] = nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=_Conv(width, vocab_size, 1)))
        self.blocks = nn.Sequential(layers)

    def logits(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1], H and W multiples of 8, to (B, vocab_size, H / 8, W / 8)."""
        return self.blocks((1 - 2 * _MARGIN) * images + _MARGIN)
