"""The encoder of DALL-E's discrete VAE, whose tokens BEiT and MAE's Table 1d predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS
from ..vit.checkpoint_files import read_checkpoint
from .tokenizer import Tokenizer

#: DALL-E keeps its pixels within (.1, .9), where its logit-Laplace density is defined (Ramesh et al. 2021, App. A.3).
_MARGIN = 0.1
_HALVINGS = 3  # a max-pool stands behind each group but the last


class _Conv(nn.Module):
    """A convolution that keeps the size, with the published names ``w`` and ``b``."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.w = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5)
        self.b = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.w, self.b, padding='same')


class _Block(nn.Module):
    """A bottleneck of four convolutions, each behind a ReLU, added with a small gain to its input."""

    def __init__(self, inputs: int, outputs: int, gain: float):
        super().__init__()
        self.gain, hidden = gain, outputs // 4
        if inputs != outputs:
            self.id_path = _Conv(inputs, outputs, 1)
        widths = [inputs, hidden, hidden, hidden, outputs]
        self.res_path = nn.ModuleDict(
            {f'conv_{i}': _Conv(widths[i - 1], widths[i], 1 if i == 4 else 3) for i in range(1, 5)}
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = x
        for conv in self.res_path.values():
            residual = conv(F.relu(residual))
        return (self.id_path(x) if hasattr(self, 'id_path') else x) + self.gain * residual


@MODELS.register_module()
class DALLEEncoder(Tokenizer, nn.Module):
    """The published encoder of DALL-E's dVAE: stride 8, 8192 tokens, 53.8 million parameters under their published
    names.

    An encoder alone: its tokens have no picture. The published code runs its convolutions in float16 on a GPU; here all
    is float32, so a token whose two best logits are all but equal may come out as the other.

    Args:
        hidden: width of the first group; the second has twice, the third four and the fourth eight times as much.
        group_blocks: blocks in each of the four groups.
        vocab_size: number of tokens.
        channels: of the images.
    """

    stride = 2**_HALVINGS
    advice = 'give the published encoder.pkl, or its state_dict() saved by torch.save or safetensors'

    def __init__(self, hidden: int = 256, group_blocks: int = 2, vocab_size: int = 8192, channels: int = 3):
        super().__init__()
        self.vocab_size, self.channels = vocab_size, channels
        gain = 1 / ((_HALVINGS + 1) * group_blocks) ** 2
        self.blocks, width = nn.ModuleDict(dict(input=_Conv(channels, hidden, 7))), hidden
        for group in range(_HALVINGS + 1):
            blocks, outputs = nn.ModuleDict(), hidden * 2**group
            for number in range(group_blocks):
                blocks[f'block_{number + 1}'] = _Block(width, outputs, gain)
                width = outputs
            self.blocks[f'group_{group + 1}'] = blocks
        self.blocks['output'] = nn.ModuleDict(dict(conv=_Conv(width, vocab_size, 1)))

    def logits(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1], sides multiples of 8, to (B, vocab_size, H / 8, W / 8)."""
        x = self.blocks['input']((1 - 2 * _MARGIN) * images + _MARGIN)
        for group in range(_HALVINGS + 1):
            for block in self.blocks[f'group_{group + 1}'].values():
                x = block(x)
            if group < _HALVINGS:
                x = F.max_pool2d(x, 2)
        return self.blocks['output']['conv'](F.relu(x))

    def read(self, path: Path) -> Mapping:
        """The weights in a file of tensors, or in the published pickle of the whole module, read as data all the
        same."""
        with torch.serialization.safe_globals([(_PickledModule, name) for name in _PICKLED]):
            return read_checkpoint(path)


class _PickledModule(dict):
    """Stands in for every class of the published pickle: a flat dictionary of its parameters, and nothing that acts."""

    def __setstate__(self, state: dict) -> None:
        self.update({name: value.detach() for name, value in state.get('_parameters', {}).items() if value is not None})
        for name, module in state.get('_modules', {}).items():
            self.update({f'{name}.{key}': value for key, value in (module or {}).items()})


_PICKLED = (
    'dall_e.encoder.Encoder',
    'dall_e.encoder.EncoderBlock',
    'dall_e.utils.Conv2d',
    'torch.nn.modules.container.Sequential',
    'torch.nn.modules.activation.ReLU',
    'torch.nn.modules.pooling.MaxPool2d',
    'torch.nn.modules.linear.Identity',
)
