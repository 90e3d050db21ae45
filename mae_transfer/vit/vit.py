"""The Vision Transformer that everything here trains or uses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from timm.layers import PatchEmbed, to_2tuple
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import UserError
from ..registry import MODELS
from .attention import LAYER_NORM_EPS, Block
from .patches import take_patches
from .position import resize_pos_embed, sincos_table
from .relative_position import KINDS as REL_POS
from .relative_position import make_attention, offset_table
from .sizes import Size, resolve_size


@MODELS.register_module()
class ViT(BaseModule):
    """Patches -> tokens -> blocks; whole images or only the kept patches; maps at chosen depths.

    One class for pre-training (:meth:`tokens` with ``keep``), classification (:meth:`tokens`) and dense tasks
    (:meth:`forward`). Parameter names are timm's, so official MAE and timm weights load as they are.

    Args:
        arch: 'tiny', 'small', 'base', 'large', 'huge' or a dict of the fields of :class:`~mae_transfer.vit.sizes.Size`.
        img_size: the side, or (height, width), that the stored position table is for. Images of other sizes are
            welcome: the table is resized for them.
        patch_size: side of a patch; default the arch's own (16; 14 for huge).
        in_channels: channels of the images.
        out_indices: after which blocks :meth:`forward` taps a map, counted from 0; negative from the end.
        class_token: whether a class token travels along. Windowed models have none (ViTDet).
        final_norm: whether the last map and :meth:`tokens` pass through a final LayerNorm. Dense recipes have none.
        window_size: side, in patches, of the windows to which attention is confined; 0 for none (ViTDet: 14).
        global_blocks: indices of the blocks that attend over all tokens in a windowed model. Default: the last block of
            each of four equal quarters (Li 2021, ViTDet).
        rel_pos: relative positions, zero at the start. None; 'decomposed', tables of rows and columns in each block
            (ViTDet); 'shared', a table of 2-D offsets for the windowed blocks and another for the global ones (Li
            2021); 'table', one of 2-D offsets in each block, with entries for the class token (BEiT, and MAE's
            UperNet). The first two know no class token.
        rel_pos_img_size: the side, or (height, width), that the tables of the global blocks are for; default
            ``img_size``. They are resized for images of other sizes. The tables of windowed blocks are for the window.
        learn_positions: whether the position table is trained. It starts as sin-cos and stays fixed in MAE; fine-tuning
            trains it.
        drop_path_rate: stochastic depth of the last block; rises linearly from 0 at the first.
        frozen_blocks: how many leading blocks, and with them the embeddings, are kept as loaded.
        grad_checkpoint: recompute blocks in the backward pass instead of storing their activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE_OR_WORK_DIR)`` starts from weights in any known layout; a
            checkpoint of None or 'none' asks for random weights.

    Shapes: B images, C channels, H x W pixels, patches of p, D = embed_dim.
    """

    def __init__(
        self,
        arch: str | dict | Size = 'base',
        img_size: int | tuple[int, int] = 224,
        patch_size: int | None = None,
        in_channels: int = 3,
        out_indices: tuple[int, ...] = (-1,),
        class_token: bool = True,
        final_norm: bool = True,
        window_size: int = 0,
        global_blocks: tuple[int, ...] | None = None,
        rel_pos: str | None = None,
        rel_pos_img_size: int | tuple[int, int] | None = None,
        learn_positions: bool = False,
        drop_path_rate: float = 0.0,
        frozen_blocks: int = 0,
        grad_checkpoint: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        size = resolve_size(arch)
        self.size, self.embed_dim, self.depth = size, size.embed_dim, size.depth
        self.patch_size = patch_size or size.patch_size
        self.in_channels = in_channels
        self.grid = self._grid_of(img_size, 'img_size')
        if window_size and class_token:
            raise UserError(
                f'window_size={window_size} needs class_token=False: a class token has no place in a window'
            )
        self.out_indices = self._absolute(out_indices, 'out_indices')
        self.global_blocks = self._global_blocks(window_size, global_blocks)
        self.frozen_blocks = frozen_blocks
        if not 0 <= frozen_blocks <= self.depth:
            raise UserError(f'frozen_blocks must lie in 0..{self.depth}; found {frozen_blocks}')
        self.grad_checkpoint = grad_checkpoint
        self.window_size = window_size
        self.num_prefix = int(class_token)
        self._check_rel_pos(rel_pos, rel_pos_img_size)
        self.rel_pos = rel_pos
        self.rel_pos_grid = (
            self.grid if rel_pos_img_size is None else self._grid_of(rel_pos_img_size, 'rel_pos_img_size')
        )

        self.patch_embed = PatchEmbed(None, self.patch_size, in_channels, self.embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim)) if class_token else None
        self.pos_embed = nn.Parameter(
            sincos_table(self.embed_dim, self.grid, self.num_prefix), requires_grad=learn_positions
        )
        windows = [0 if i in self.global_blocks else window_size for i in range(self.depth)]
        grids = [(window, window) if window else self.rel_pos_grid for window in windows]
        self.blocks = nn.ModuleList(
            Block(
                self.embed_dim,
                size.num_heads,
                size.mlp_ratio,
                drop_path_rate * i / max(1, self.depth - 1),
                windows[i],
                make_attention(rel_pos, self.embed_dim, size.num_heads, grids[i], self.num_prefix),
            )
            for i in range(self.depth)
        )
        # Only the tables that some block reads: a parameter that is never used breaks distributed training.
        self.rel_pos_window, self.rel_pos_global = (
            offset_table(grids[windows.index(window)], size.num_heads)
            if rel_pos == 'shared' and window in windows
            else None
            for window in (window_size or None, 0)
        )
        self.norm = nn.LayerNorm(self.embed_dim, eps=LAYER_NORM_EPS) if final_norm else nn.Identity()
        init_like_mae(self)
        self._freeze()

    def _grid_of(self, img_size: int | tuple[int, int], what: str) -> tuple[int, int]:
        height, width = to_2tuple(img_size)
        rows, columns = height // self.patch_size, width // self.patch_size
        if height % self.patch_size or width % self.patch_size:
            raise UserError(
                f'{what} {height} x {width} is not divisible by patch_size {self.patch_size}: choose multiples, '
                f'e.g. {max(1, rows) * self.patch_size} x {max(1, columns) * self.patch_size}'
            )
        return rows, columns

    def _check_rel_pos(self, rel_pos: str | None, rel_pos_img_size: int | tuple[int, int] | None) -> None:
        if rel_pos is None:
            if rel_pos_img_size is not None:
                raise UserError(
                    f'rel_pos_img_size={rel_pos_img_size} without rel_pos: choose one of {", ".join(REL_POS)}'
                )
        elif rel_pos not in REL_POS:
            raise UserError(f"rel_pos '{rel_pos}' is not known: choose one of {', '.join(REL_POS)}, or None")
        elif self.num_prefix and rel_pos != 'table':
            raise UserError(
                f"rel_pos='{rel_pos}' needs class_token=False: only the tables of rel_pos='table' have a place for one"
            )

    def table_grid(self, name: str) -> tuple[int, int]:
        """(rows, columns) that a table of relative positions, named as in the state dict, is for."""
        window = (
            name == 'rel_pos_window' or name.startswith('blocks.') and self.blocks[int(name.split('.')[1])].window_size
        )
        return (self.window_size, self.window_size) if window else self.rel_pos_grid

    def _absolute(self, indices: tuple[int, ...], what: str) -> tuple[int, ...]:
        if bad := [i for i in indices if not -self.depth <= i < self.depth]:
            raise UserError(f'{what} {tuple(indices)}: block {bad[0]} does not exist in a ViT of depth {self.depth}')
        return tuple(i % self.depth for i in indices)

    def _global_blocks(self, window_size: int, chosen: tuple[int, ...] | None) -> tuple[int, ...]:
        if not window_size:
            return tuple(range(self.depth))
        if chosen is not None:
            return self._absolute(chosen, 'global_blocks')
        if self.depth % 4:
            raise UserError(
                f'depth {self.depth} has no four equal quarters: name the global_blocks of a windowed ViT yourself'
            )
        return tuple(range(self.depth // 4 - 1, self.depth, self.depth // 4))

    def init_weights(self) -> None:
        """Load the weights that ``init_cfg`` names; loud about what does not fit
        (:func:`~mae_transfer.vit.checkpoint.load_vit`)."""
        if self.is_init:
            return
        source = (self.init_cfg or {}).get('checkpoint')
        if source in (None, 'none'):
            print_log('ViT starts from random weights', logger='current')
        else:
            from .checkpoint import load_vit

            load_vit(self, source)
        self._is_init = True

    def _freeze(self) -> None:
        if self.frozen_blocks:
            frozen = [self.patch_embed, *self.blocks[: self.frozen_blocks]]
            for parameter in (p for module in frozen for p in module.parameters()):
                parameter.requires_grad_(False)
            # Shared tables act in the frozen blocks too.
            for parameter in (self.cls_token, self.pos_embed, self.rel_pos_window, self.rel_pos_global):
                if parameter is not None:
                    parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> ViT:
        """Training mode for all but the frozen blocks, whose stochastic depth stays off."""
        super().train(mode)
        for block in self.blocks[: self.frozen_blocks]:
            block.eval()
        return self

    def tokens(self, images: Tensor, keep: Tensor | None = None, beside: Tensor | None = None) -> Tensor:
        """Encode whole images, or only the kept patches: nothing is computed for the others.

        Args:
            images: (B, C, H, W), H and W multiples of the patch.
            keep: (B, K) patch numbers, row-major; None for all patches in order.
            beside: (B, M, D) tokens that are encoded beside the kept patches, with :meth:`positions` already in them.

        Returns:
            (B, 1 + K, D), or (B, 1 + K + M, D), after the final norm, class token first (where there is one).
        """
        if keep is not None and self.window_size:
            raise UserError(
                f'a ViT with windows of {self.window_size} sees whole images only: pre-train with window_size=0'
            )
        if keep is not None and self.rel_pos:
            raise UserError(f"a ViT with rel_pos='{self.rel_pos}' sees whole images only: pre-train with rel_pos=None")
        x, grid = self._embed(images, keep)
        if beside is not None:
            x = torch.cat([x, beside.to(x.dtype)], dim=1)
        for block in self.blocks:
            x = self._run(block, x, grid)
        return self.norm(x)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The position embedding for a (rows, columns) grid: (1, 1 + N, D), the class token's first (where there is
        one)."""
        return resize_pos_embed(self.pos_embed, self.grid, grid, self.num_prefix)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps for dense tasks, from images of any size.

        Args:
            images: (B, C, H, W); padded with zeros at the bottom and the right to multiples of the patch.

        Returns:
            One map (B, D, ceil(H / p), ceil(W / p)) for each of ``out_indices``; the last block's has passed the final
            norm, where there is one.
        """
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.patch_size, 0, -height % self.patch_size))
        x, grid = self._embed(images)
        maps = {}
        for i, block in enumerate(self.blocks[: max(self.out_indices) + 1]):
            x = self._run(block, x, grid)
            if i in self.out_indices:
                tap = self.norm(x) if i == self.depth - 1 else x
                maps[i] = tap[:, self.num_prefix :].transpose(1, 2).unflatten(2, grid)
        return tuple(maps[i] for i in self.out_indices)

    def _embed(self, images: Tensor, keep: Tensor | None = None) -> tuple[Tensor, tuple[int, int]]:
        if images.shape[1] != self.in_channels:
            raise ValueError(f'this ViT takes {self.in_channels} channels; found images of shape {tuple(images.shape)}')
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f'an image of {height} x {width} does not divide into patches of {self.patch_size}')
        grid = (height // self.patch_size, width // self.patch_size)
        positions = self.positions(grid)
        prefix, positions = positions[:, : self.num_prefix], positions[0, self.num_prefix :]
        if keep is None:
            x = self.patch_embed(images) + positions
        else:
            proj = self.patch_embed.proj
            patches = take_patches(images, self.patch_size, keep).flatten(2)
            x = F.linear(patches, proj.weight.flatten(1), proj.bias) + positions[keep]
        if self.cls_token is not None:
            x = torch.cat([(self.cls_token + prefix).expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        return x, grid

    def _run(self, block: Block, x: Tensor, grid: tuple[int, int]) -> Tensor:
        table = self.rel_pos_window if block.window_size else self.rel_pos_global
        if self.grad_checkpoint and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, grid, table, use_reentrant=False)
        return block(x, grid, table)


def init_like_mae(module: nn.Module) -> None:
    """Random weights as MAE draws them (official code, ``models_mae.py``).

    Xavier-uniform on every linear map, the fused qkv matrix as one and the patch embedding seen as a linear map; biases
    zero, but the patch embedding's, which keeps PyTorch's default; class and mask token normal with std .02; norms at
    identity.
    """
    for child in module.modules():
        if isinstance(child, nn.Linear):
            nn.init.xavier_uniform_(child.weight)
            nn.init.zeros_(child.bias)
        elif isinstance(child, PatchEmbed):
            nn.init.xavier_uniform_(child.proj.weight.data.flatten(1))
    for name, parameter in module.named_parameters():
        if name.rpartition('.')[2] in ('cls_token', 'mask_token'):
            nn.init.normal_(parameter, std=0.02)
