"""MoCo v3: two views of a photo are told from those of all others, against a slowly moving average of the model."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from ..vit.initialization import init_like_moco_v3


@MODELS.register_module()
class MoCoV3(BaseModel):
    """MoCo v3 (Chen, Xie & He 2021, Algorithm 1): a ViT, a projector and a predictor, and a momentum encoder.

    The query of a view is ``predictor(projector(class token))``; its key is the same without the predictor, computed by
    the momentum encoder: moving averages of ViT and projector, without gradients. The query of one view must find the
    key of the other among those of all photos of the forward pass, on all processes.

    :class:`~mae_transfer.hooks.MomentumHook` moves the averages once for each step of the optimiser. Everything is in
    the state dict, so that a resumed run continues as if it had not stopped. Positions are MAE's fixed sin-cos table;
    the official one has rows and columns in the other halves of the channels.

    Batch norms are over all processes with GPUs (SyncBN), as in the official code; on CPUs over those of one.

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`, the part that is kept after pre-training: parameters
            ``vit.*``, those of its moving average ``momentum_vit.*``. It is initialized as in the official code.
        hidden_dim: hidden width of projector and predictor.
        out_dim: length of queries and keys.
        temperature: of the softmax over the keys, which are compared by cosine similarity.
        freeze_patch_embed: whether the patch embedding stays as it was initialized, or loaded (section 4.2; official
            ``--stop-grad-conv1``).
        data_preprocessor: config of the preprocessor that normalises the images on the device.

    Attributes:
        momentum: of the last move of the averages; None before the first.

    Raises:
        UserError: a ViT without class token; sizes or a temperature that are not above 0.
    """

    def __init__(
        self,
        vit: dict,
        hidden_dim: int = 4096,
        out_dim: int = 256,
        temperature: float = 0.2,
        freeze_patch_embed: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        if min(hidden_dim, out_dim, temperature) <= 0:
            raise UserError(
                f'MoCoV3 takes hidden_dim, out_dim and temperature above 0; found {hidden_dim}, {out_dim}, '
                f'{temperature}'
            )
        # In our own scope, so that short names work under any default scope of the runner.
        with MODELS.switch_scope_and_registry(SCOPE):
            super().__init__(data_preprocessor, init_cfg)
            self.vit = MODELS.build(vit)
        if not self.vit.num_prefix:
            raise UserError('MoCoV3 compares class tokens: set model.vit.class_token=True')
        init_like_moco_v3(self.vit)
        if freeze_patch_embed:
            self.vit.patch_embed.requires_grad_(False)
        self.projector = _mlp(self.vit.embed_dim, hidden_dim, hidden_dim, out_dim)
        self.predictor = _mlp(out_dim, hidden_dim, out_dim)
        self.momentum_vit = deepcopy(self.vit).requires_grad_(False)
        self.momentum_projector = deepcopy(self.projector).requires_grad_(False)
        self.temperature = temperature
        self.momentum: float | None = None

    def init_weights(self) -> None:
        """Load the checkpoint of ``vit.init_cfg``, if it names one, into the ViT; its moving average starts there.

        Raises:
            UserError: as the ViT's ``init_weights``; the MoCoV3 itself has an ``init_cfg`` too.
        """
        if self.is_init:
            return
        if self.init_cfg:
            raise UserError('weights to start from are those of the ViT: set model.vit.init_cfg, not model.init_cfg')
        self.vit.init_weights()
        self.momentum_vit.load_state_dict(self.vit.state_dict())
        self._is_init = self.momentum_vit._is_init = True

    @torch.no_grad()
    def update_momentum_encoder(self, momentum: float) -> None:
        """Move the averages: ``average = momentum * average + (1 - momentum) * parameter``.

        Statistics of batch norms are no parameters: those of the momentum encoder are of its own passes.
        """
        for average, source in ((self.momentum_vit, self.vit), (self.momentum_projector, self.projector)):
            for old, new in zip(average.parameters(), source.parameters()):
                old.lerp_(new, 1 - momentum)
        self.momentum = momentum

    def forward(
        self, inputs: Tensor, seeds: Tensor | None = None, mode: str = 'loss'
    ) -> dict[str, Tensor] | list[dict[str, Tensor]] | tuple[Tensor, Tensor]:
        """One forward pass, with the modes of MMEngine's runner.

        Args:
            inputs: (B, 2, C, H, W): two normalised views of each photo; H and W are multiples of the patch size.
            seeds: of the photos; not used, since both views are made already.
            mode: 'loss' for training; 'predict' for evaluation; 'tensor' for queries and keys.

        Returns:
            'loss': dict of the scalar ``loss``; of the ``accuracy``, the share of queries that are most similar to
            their own key; and of the ``momentum``. 'predict': for each photo a dict with its ``queries`` and ``keys``,
            both (2, out_dim), float32 on the CPU. 'tensor': queries and keys, both (B, 2, out_dim). All are of unit
            length.

        Raises:
            UserError: training without :class:`~mae_transfer.hooks.MomentumHook`, which would never move the averages.
        """
        if inputs.ndim != 5 or inputs.shape[1] != 2:
            raise ValueError(f'MoCoV3 takes two views of each photo (B, 2, C, H, W); found {tuple(inputs.shape)}')
        if mode == 'loss' and self.training and self.momentum is None:
            raise UserError("MoCoV3 is trained with default_hooks.momentum=dict(type='MomentumHook'): add it")
        queries, keys = self.queries(inputs), self.keys(inputs)
        if mode == 'tensor':
            return queries, keys
        if mode == 'predict':
            return [dict(queries=q, keys=k) for q, k in zip(queries.cpu(), keys.cpu())]
        if mode == 'loss':
            return self.losses(queries, keys)
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor'; found '{mode}'")

    def queries(self, views: Tensor) -> Tensor:
        """Views (B, 2, C, H, W) to queries (B, 2, out_dim), float32 of unit length.

        Each view goes by itself, so that batch norms see only first or only second views.
        """
        found = [self.predictor(self.projector(self.vit.tokens(view)[:, 0])) for view in views.unbind(1)]
        return F.normalize(torch.stack(found, dim=1).float(), dim=-1)

    @torch.no_grad()
    def keys(self, views: Tensor) -> Tensor:
        """Views (B, 2, C, H, W) to keys (B, 2, out_dim), float32 of unit length, of the momentum encoder."""
        found = [self.momentum_projector(self.momentum_vit.tokens(view)[:, 0]) for view in views.unbind(1)]
        return F.normalize(torch.stack(found, dim=1).float(), dim=-1)

    def losses(self, queries: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """The outputs of mode 'loss' for this process's queries and keys (B, 2, out_dim)."""
        all_keys = torch.cat(all_gather(keys.contiguous()))  # every process has as many
        labels = torch.arange(len(queries), device=queries.device) + len(queries) * get_rank()
        # Queries of the first views among keys of the second ones, and the other way round.
        loss1, accuracy1 = info_nce(queries[:, 0], all_keys[:, 1], labels, self.temperature)
        loss2, accuracy2 = info_nce(queries[:, 1], all_keys[:, 0], labels, self.temperature)
        outputs = dict(loss=loss1 + loss2, accuracy=(accuracy1 + accuracy2) / 2)
        if self.momentum is not None:
            outputs['momentum'] = torch.tensor(self.momentum, device=queries.device)
        return outputs


def info_nce(queries: Tensor, keys: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE (van den Oord 2018) times ``2 * temperature``, the factor of MoCo v3's Algorithm 1.

    Args:
        queries: (B, D) of unit length.
        keys: (N, D) of unit length.
        labels: (B,) numbers of the queries' own keys.
        temperature: of the softmax over the N keys.

    Returns:
        The mean loss, and the share of queries that are most similar to their own key.
    """
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries.float() @ keys.float().T / temperature
    accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
    return 2 * temperature * F.cross_entropy(logits, labels), accuracy


def _mlp(*widths: int) -> nn.Sequential:
    """Linear layers without bias, each followed by a batch norm; ReLU after all but the last norm, which has no scale
    and shift (official ``moco/builder.py``; section 4.1)."""
    layers: list[nn.Module] = []
    for number, (width, next_width) in enumerate(zip(widths, widths[1:]), 1):
        is_last = number == len(widths) - 1
        # The runner makes it a plain batch norm where there is one process, or no GPU.
        layers += [nn.Linear(width, next_width, bias=False), nn.SyncBatchNorm(next_width, affine=not is_last)]
        if not is_last:
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
