"""A ViT with a linear classifier on top: all of it is trained, or its last blocks, or only the head."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from ..vit.design import LAYER_NORM_EPS
from ..vit.sizes import resolve_size
from ..vit.weights.checkpoint import CheckpointError, load_vit, read_weights, starting_point
from ..vit.weights.comparison import compare_states
from ..vit.weights.head import HEAD_NORM_EPS, fold_head_norm


@MODELS.register_module()
class ViTClassifier(BaseModel):
    """Images -> ViT -> one vector -> classes; the model of all evaluation protocols by classification (MAE App. A.1).

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`.
        num_classes: number of classes; 0 for a model without a head, of which only :meth:`features` is used.
        pooling: 'patch_mean': the mean of the patch tokens, followed by a LayerNorm, ``fc_norm``, that replaces the
            ViT's final norm (official fine-tuning); 'class_token': the class token after the final norm (linear
            probing).
        head_std: standard deviation of the truncated normal distribution that initialises the head's weight (2e-5 in
            fine-tuning, .01 in probing).
        batch_norm: whether a BatchNorm without affine parameters precedes the head (linear probing, MAE App. A.1).
        tuned_blocks: how many of the last blocks are trained. None: all of them, and the embeddings. .5: the MLP of the
            last block with its norm. 0: no block, only the new layers ``fc_norm`` and ``head``. The rest stays as
            loaded, with stochastic depth off.
        label_smoothing: share of a label that is spread over all classes.
        data_preprocessor: config of the :class:`~mae_transfer.classify.LabelledPreprocessor`.

    Parameters have timm's names with the prefix ``vit.``; those of the other layers begin with ``fc_norm`` and
    ``head``.

    Raises:
        UserError: an unknown pooling; a number of tuned blocks that the ViT does not have.
    """

    def __init__(
        self,
        vit: dict,
        num_classes: int = 1000,
        pooling: str = 'patch_mean',
        head_std: float = 2e-5,
        batch_norm: bool = False,
        tuned_blocks: float | None = None,
        label_smoothing: float = 0.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        if pooling not in ('patch_mean', 'class_token'):
            raise UserError(f"pooling is 'patch_mean' or 'class_token'; found '{pooling}'")
        depth = resolve_size(vit.get('arch', 'base')).depth
        if tuned_blocks is not None and tuned_blocks not in (0.5, *range(depth + 1)):
            raise UserError(
                f'tuned_blocks is .5 or a whole number from 0 to {depth}, the depth of the ViT; found {tuned_blocks}'
            )
        frozen_blocks = 0 if tuned_blocks is None else depth - math.ceil(tuned_blocks)
        # In our own scope, so that short names work under any default scope of the runner.
        with MODELS.switch_scope_and_registry(SCOPE):
            super().__init__(data_preprocessor and dict(data_preprocessor, num_classes=num_classes), init_cfg)
            self.vit = MODELS.build(dict(vit, final_norm=pooling == 'class_token', frozen_blocks=frozen_blocks))
        dim = self.vit.embed_dim
        self.num_classes, self.pooling, self.label_smoothing = num_classes, pooling, label_smoothing
        self.fc_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS) if pooling == 'patch_mean' else nn.Identity()
        self.head_norm = nn.BatchNorm1d(dim, eps=HEAD_NORM_EPS, affine=False) if batch_norm else nn.Identity()
        self.head = _new_head(dim, num_classes, head_std) if num_classes else nn.Identity()
        self.frozen = self._modules_to_freeze(tuned_blocks)
        for module in self.frozen:
            module.requires_grad_(False)

    def _modules_to_freeze(self, tuned_blocks: float | None) -> list[nn.Module]:
        """The frozen modules in addition to those that the ViT freezes as ``frozen_blocks``."""
        if tuned_blocks == 0:
            return [self.vit.norm]
        if tuned_blocks == 0.5:
            last = self.vit.blocks[-1]
            return [last.norm1, last.attn, last.drop_path1]
        return []

    def train(self, mode: bool = True) -> ViTClassifier:
        """As ``nn.Module.train``, but frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def init_weights(self) -> None:
        """Load the checkpoint of ``vit.init_cfg``: the ViT, and the head if :meth:`load_weights` finds that it fits."""
        if self.is_init:
            return
        start = starting_point(self.vit.init_cfg)
        if start is None:
            self.vit.init_weights()
        else:
            self.load_weights(**start)
        self._is_init = True

    def load_weights(
        self,
        source: str | Path,
        need_head: bool = False,
        source_grid: tuple[int, int] | None = None,
        weights_key: str | None = None,
    ) -> None:
        """Load a checkpoint of any known layout (:func:`~mae_transfer.vit.weights.checkpoint.load_vit`), with its head
        if that fits.

        Args:
            source: file or folder.
            need_head: whether a missing head, one that does not fit, or weights for another number of channels are an
                error, as in testing. Otherwise the head stays as it is, and the log says why.
            source_grid, weights_key: as for ``load_vit``.

        Raises:
            CheckpointError: as raised by ``load_vit``; the head is needed and does not fit.
        """
        weights = read_weights(source, weights_key)
        load_vit(self.vit, replace(weights, head={}), source_grid=source_grid, may_inflate=not need_head)
        if not self.num_classes:
            return
        wanted = {name: value for name, value in self.state_dict().items() if name.startswith(('fc_norm.', 'head.'))}
        head = fold_head_norm(weights.head)
        misfit = self._head_misfit(head, wanted)
        if misfit and need_head:
            raise CheckpointError(f'{weights.source}: {misfit}; choose a fine-tuned checkpoint for this config')
        if misfit:
            level = logging.WARNING if weights.head else logging.INFO
            print_log(f'head starts from random weights: {misfit}', logger='current', level=level)
            return
        with torch.no_grad():
            for name, value in wanted.items():
                value.copy_(head[name])  # state_dict shares the parameters' memory
        print_log(f'head: loaded {", ".join(wanted)} from {weights.source}', logger='current')

    def _head_misfit(self, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
        """Why the head of a checkpoint, ``found``, does not fit this model's, ``wanted``; None if it does."""
        if not isinstance(self.head_norm, nn.Identity):
            return 'a linear probe, with a batch norm before the head, trains its own head'
        missing, unexpected, reshaped = compare_states(found, wanted)
        if 'head.weight' in missing:
            return 'the checkpoint has no head'
        if 'fc_norm.weight' in missing or 'fc_norm.weight' in unexpected:
            article = 'no' if 'fc_norm.weight' in missing else 'an'
            return f"the checkpoint's head does not go with pooling '{self.pooling}' (it has {article} fc_norm)"
        if 'head.weight' in reshaped and found['head.weight'].shape[1:] == wanted['head.weight'].shape[1:]:
            return f"the checkpoint's head is for {len(found['head.weight'])} classes, the model has {self.num_classes}"
        if reshaped:
            name = reshaped[0]
            return f'{name} is {tuple(found[name].shape)} in the checkpoint, {tuple(wanted[name].shape)} in the model'
        if missing:
            return f'the checkpoint lacks {", ".join(missing)}'
        return None

    def features(self, images: Tensor) -> Tensor:
        """One normalised vector (B, D) for each of the images (B, C, H, W): the input of the head."""
        tokens = self.vit.tokens(images)
        if self.pooling == 'class_token':
            return tokens[:, 0]
        return self.fc_norm(tokens[:, self.vit.num_prefix :].mean(1))

    def forward(
        self, inputs: Tensor, labels: Tensor | None = None, mode: str = 'loss'
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Tensor]]:
        """One forward pass, with the modes of MMEngine's runner.

        Args:
            inputs: (B, C, H, W) normalised images; H and W are multiples of the patch size.
            labels: (B,) int64, or (B, num_classes) shares of each class; needed for the loss only.
            mode: 'loss' for training, 'predict' for evaluation, 'tensor' for logits.

        Returns:
            'loss': dict with the scalar ``loss``, the cross-entropy. 'predict': for each image a dict with its
            ``scores`` (num_classes,), logits in float32 on the CPU. 'tensor': logits (B, num_classes).
        """
        logits = self.head(self.head_norm(self.features(inputs).float()))
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            assert labels is not None
            return dict(loss=F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing))
        if mode == 'predict':
            return [dict(scores=scores) for scores in logits.float().cpu()]
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor'; found '{mode}'")


def _new_head(dim: int, num_classes: int, std: float) -> nn.Linear:
    head = nn.Linear(dim, num_classes)
    nn.init.trunc_normal_(head.weight, std=std)
    nn.init.zeros_(head.bias)
    return head
