"""Base class of all tokenizers: images to tokens of a vocabulary, with weights from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..vit.weights.checkpoint_files import find_checkpoint, read_checkpoint
from ..vit.weights.comparison import compare_states


class Tokenizer(nn.Module):
    """Base class of all tokenizers: images in [0, 1] to tokens, one for each square of ``stride`` x ``stride`` pixels.

    To add a tokenizer, derive from this class, register the class with ``@MODELS.register_module()`` and name it in a
    config, ``model.target=dict(type='TokenTarget', tokenizer=dict(type='MyTokenizer', checkpoint='weights.pth'))``;
    further keys of the tokenizer are passed to ``__init__``. A class that is another kind of module too derives from
    both, this one first: ``class MyTokenizer(Tokenizer, BaseModel)``.

    Shapes: B images of C channels and H x W pixels; a vocabulary of V tokens; a grid of h x w tokens per image, with
    h = H / stride and w = W / stride.

    A subclass must

    - set :attr:`channels`, :attr:`vocab_size` and :attr:`stride`, on the class or in ``__init__``;
    - implement :meth:`logits`: images (B, C, H, W) to scores (B, V, h, w).

    It may

    - implement :meth:`decode`, tokens (B, h, w) to images (B, C, H, W), and set ``invertible = True``;
    - set :attr:`advice`;
    - override :meth:`read` if its weights come in a file that
      :func:`~mae_transfer.vit.weights.checkpoint_files.read_checkpoint` cannot read.

    It may rely on :class:`~mae_transfer.pretraining.TokenTarget`, which freezes the tokenizer and calls it in
    evaluation mode, without gradients and outside of autocast. Images are float32 in [0, 1], and H and W are multiples
    of ``stride``, but can differ between batches. All parameters and buffers have been loaded before the first call,
    either by :meth:`load`, which checks them, or from a checkpoint of the whole MAE, which contains the tokenizer.

    Attributes:
        channels: C of the images.
        vocab_size: number of tokens V; tokens are 0 to V - 1.
        stride: side in pixels of the square that one token stands for.
        invertible: whether :meth:`decode` returns images.
        advice: how to obtain weights; ends the error messages about a file that is missing or does not fit.
    """

    channels: int
    vocab_size: int
    stride: int
    invertible: bool = False
    advice: str = 'give a file with the weights of this tokenizer'

    def logits(self, images: Tensor) -> Tensor:
        """Score every token of the vocabulary.

        Args:
            images: (B, C, H, W) float32 in [0, 1]; H and W are multiples of ``stride``.

        Returns:
            (B, V, H / stride, W / stride).
        """
        raise NotImplementedError(f'{type(self).__name__} must implement logits')

    def tokens(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to the most probable tokens (B, H / stride, W / stride), int64."""
        return self.logits(images).argmax(dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Turn tokens back into images. A tokenizer with ``invertible = False`` need not implement it.

        Args:
            tokens: (B, h, w) int64.

        Returns:
            (B, C, h * stride, w * stride) float32 in [0, 1].

        Raises:
            UserError: the tokenizer is not :attr:`invertible`.
        """
        if self.invertible:
            raise NotImplementedError(f'{type(self).__name__} must implement decode, or set invertible = False')
        raise UserError(
            f'{type(self).__name__} has no decoder, so its tokens cannot be turned into pixels: train on the tokens of '
            'a DVAE for pictures'
        )

    def read(self, path: Path) -> Mapping:
        """Read a file: weights by name, or a mapping that contains them as ``state_dict``.

        :meth:`load` ignores all values that are not tensors. A file must be read as data: reading it must not run code.

        Raises:
            UserError: the file is damaged or would run code.
        """
        return read_checkpoint(path)

    def load(self, checkpoint: str | Path) -> Path:
        """Load all weights from a file, or from the newest checkpoint of a work_dir.

        Returns:
            Path of the file.

        Raises:
            UserError: there is no such file; weights are missing, unknown, of another shape or not finite.
        """
        name = type(self).__name__
        try:
            path = find_checkpoint(checkpoint)
        except UserError as error:
            raise UserError(f'tokenizer.checkpoint: {error}: {self.advice}') from error
        state = self.read(path)
        state = state.get('state_dict', state)
        state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        wanted = self.state_dict()
        missing, unexpected, reshaped = compare_states(state, wanted)
        if reshaped:
            key = reshaped[0]
            raise UserError(
                f'{path} has a {name} of other sizes: {key} is {tuple(state[key].shape)} in the file and '
                f'{tuple(wanted[key].shape)} in the model ({len(reshaped)} such tensors): give the tokenizer the sizes '
                'that it was trained with'
            )
        if missing or unexpected:
            raise UserError(
                f'{path} does not fit a {name} of these sizes: {len(missing)} of its {len(wanted)} tensors are missing'
                f'{_example(missing)}, {len(unexpected)} in the file are unknown{_example(unexpected)}: {self.advice}'
            )
        if broken := [key for key, value in state.items() if not torch.isfinite(value).all()]:
            raise UserError(
                f"{path}: '{broken[0]}' holds values that are not finite, as after a training that diverged: "
                f'{self.advice}'
            )
        self.load_state_dict(state)
        return path


def _example(names: list[str]) -> str:
    return f', e.g. {names[0]}' if names else ''
