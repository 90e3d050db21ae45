"""A ViT with a linear classifier on top, trained whole, in part, or not at all below the head."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from ..vit.attention import LAYER_NORM_EPS
from ..vit.checkpoint import CheckpointError, load_vit, read_weights
from ..vit.sizes import resolve_size


@MODELS.register_module()
class ViTClassifier(BaseModel):
    """Images -> ViT -> one vector -> classes; the model of every reading by classification (MAE App. A.1).

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`.
        num_classes: classes to tell apart; 0 for no head, where only :meth:`features` are asked for.
        pooling: 'patch_mean': the mean of the patch tokens, then a LayerNorm of its own, ``fc_norm``, in the place of
            the ViT's final norm (official fine-tuning); 'class_token': the class token after the final norm (linear
            probing).
        head_std: std of the truncated normal that the classifier's weight is drawn from (2e-5 in fine-tuning, .01 in
            probing).
        batch_norm: whether a BatchNorm without affine stands before the classifier (linear probing, MAE App. A.1).
        tuned_blocks: how many of the last blocks are trained; None: all, and the embeddings. .5: the last block's MLP
            with its norm; 0: none, so only what is new: ``fc_norm`` and the head. The rest stays as loaded, with
            stochastic depth off.
        label_smoothing: share of a label that is spread over all classes.
        data_preprocessor: config of the :class:`~mae_transfer.classify.LabelledPreprocessor`.

    Parameter names are timm's below ``vit.``, and ``fc_norm``, ``head``.

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
        self.head_norm = nn.BatchNorm1d(dim, eps=1e-6, affine=False) if batch_norm else nn.Identity()
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        if num_classes:
            nn.init.trunc_normal_(self.head.weight, std=head_std)
            nn.init.zeros_(self.head.bias)
        self.frozen = self._frozen_beside_blocks(tuned_blocks)
        for module in self.frozen:
            module.requires_grad_(False)

    def _frozen_beside_blocks(self, tuned_blocks: float | None) -> list[nn.Module]:
        """What is frozen that the ViT does not freeze with its blocks."""
        if tuned_blocks == 0:
            return [self.vit.norm]
        if tuned_blocks == 0.5:
            last = self.vit.blocks[-1]
            return [last.norm1, last.attn, last.drop_path1]
        return []

    def train(self, mode: bool = True) -> ViTClassifier:
        """Training mode for all that is trained."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def init_weights(self) -> None:
        """Load what ``vit.init_cfg`` names: the ViT, and the head where the checkpoint has one for the same classes."""
        if self.is_init:
            return
        source = (self.vit.init_cfg or {}).get('checkpoint')
        if source in (None, 'none'):
            self.vit.init_weights()
        else:
            self.load_weights(source)
        self._is_init = True

    def load_weights(self, source: str | Path, need_head: bool = False) -> None:
        """Load a checkpoint of any known layout (:func:`~mae_transfer.vit.checkpoint.load_vit`), with its head where
        that fits.

        Args:
            source: file or folder.
            need_head: whether a head that is not there, or does not fit, is an error, as in testing.

        Raises:
            CheckpointError: as of ``load_vit``; a head that is needed and does not fit.
        """
        weights = read_weights(source)
        load_vit(self.vit, replace(weights, head={}))
        if not self.num_classes:
            return
        wanted = {name: value for name, value in self.state_dict().items() if name.startswith(('fc_norm.', 'head.'))}
        trouble = self._head_trouble(
            {name: value.shape for name, value in weights.head.items()},
            {name: value.shape for name, value in wanted.items()},
        )
        if trouble and need_head:
            raise CheckpointError(f'{weights.source}: {trouble}; choose a fine-tuned checkpoint for this config')
        if trouble:
            level = logging.WARNING if weights.head else logging.INFO
            print_log(f'head starts from random weights: {trouble}', logger='current', level=level)
            return
        with torch.no_grad():
            for name, value in wanted.items():
                value.copy_(weights.head[name])  # state_dict shares the parameters' memory
        print_log(f'head: loaded {", ".join(wanted)} from {weights.source}', logger='current')

    def _head_trouble(self, found: dict, wanted: dict) -> str | None:
        """Why a checkpoint's head cannot be this model's; None where it can."""
        if not isinstance(self.head_norm, nn.Identity):
            return "the batch norm before it is a probe's own"
        if 'head.weight' not in found:
            return 'the checkpoint has none'
        if ('fc_norm.weight' in found) != ('fc_norm.weight' in wanted):
            kind = 'an' if 'fc_norm.weight' in found else 'no'
            return f"the checkpoint's does not go with pooling '{self.pooling}' (it has {kind} fc_norm)"
        if found['head.weight'] != wanted.get('head.weight'):
            return f"the checkpoint's is for {found['head.weight'][0]} classes, the model has {self.num_classes}"
        return (
            None
            if found.keys() >= wanted.keys()
            else f'the checkpoint lacks {", ".join(sorted(wanted.keys() - found.keys()))}'
        )

    def features(self, images: Tensor) -> Tensor:
        """One vector (B, D) for each of the images (B, C, H, W), normed, before the head."""
        tokens = self.vit.tokens(images)
        if self.pooling == 'class_token':
            return tokens[:, 0]
        return self.fc_norm(tokens[:, self.vit.num_prefix :].mean(1))

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = 'loss'):
        """One pass, as MMEngine's runner asks for it.

        Args:
            inputs: (B, C, H, W) normalised images, H and W multiples of the patch.
            labels: (B,) int64, or (B, num_classes) shares of each class.
            mode: 'loss' for training, 'predict' for evaluation, 'tensor' for logits.

        Returns:
            'loss': dict with the scalar ``loss``, cross-entropy. 'predict': for each image a dict with its ``scores``
            (num_classes,), float32 on the CPU. 'tensor': logits (B, num_classes).
        """
        logits = self.head(self.head_norm(self.features(inputs).float()))
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            return dict(loss=F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing))
        if mode == 'predict':
            return [dict(scores=scores) for scores in logits.float().cpu()]
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor'; found '{mode}'")
