"""What every tokenizer has: images to tokens, a vocabulary, weights from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from ..vit.checkpoint_files import find_checkpoint, read_checkpoint


class Tokenizer:
    """Base of what turns images in [0, 1] into tokens, one for each square of ``stride`` pixels; mixed into a module.

    A subclass has ``channels`` of its images, ``vocab_size``, ``stride``, and ``logits(images)``: (B, C, H, W) in [0,
    1] to (B, vocab_size, H / stride, W / stride).
    """

    #: whether :meth:`decode` gives images back
    invertible = False
    #: how weights for it are come by
    advice = ''

    def tokens(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to the most probable tokens (B, H / stride, W / stride), int64."""
        return self.logits(images).argmax(dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, h, w) to images (B, C, h * stride, w * stride) in [0, 1].

        Raises:
            UserError: this tokenizer cannot.
        """
        raise UserError(
            f'{type(self).__name__} is an encoder alone: its tokens cannot be turned into pixels; train on tokens of a '
            'DVAE '
            'for pictures'
        )

    def read(self, path: Path) -> Mapping:
        """The weights in a file, by name, with whatever else is in it."""
        return read_checkpoint(path)

    def load(self, checkpoint: str | Path) -> Path:
        """Load all weights from a file, or the newest of a work_dir.

        Returns:
            The file.

        Raises:
            UserError: there is none; weights that are missing, unknown or of another shape.
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
        missing = [key for key in wanted if key not in state]
        unknown = [key for key in state if key not in wanted]
        reshaped = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
        if reshaped:
            key = reshaped[0]
            raise UserError(
                f'{path} is of another {name}: {key} is {tuple(state[key].shape)} there and {tuple(wanted[key].shape)} '
                'here '
                f'({len(reshaped)} such tensors): give the tokenizer the sizes that it was trained with'
            )
        if missing or unknown:
            raise UserError(
                f'{path} is no {name} of these sizes: {len(missing)} of {len(wanted)} tensors are not in it'
                f'{f", e.g. {missing[0]}" if missing else ""}, {len(unknown)} have no place here'
                f'{f", e.g. {unknown[0]}" if unknown else ""}: {self.advice}'
            )
        if broken := [key for key, value in state.items() if not torch.isfinite(value).all()]:
            raise UserError(
                f"{path}: '{broken[0]}' holds values that are not finite: it is of a training that diverged"
            )
        self.load_state_dict(state)
        return path
