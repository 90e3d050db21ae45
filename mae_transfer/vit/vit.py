"""The Vision Transformer."""

from __future__ import annotations

import re

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
from .initialization import init_like_mae
from .patches import take_patches
from .position import resize_pos_embed, sincos_table
from .relative_position import REL_POS_KINDS, make_attention, zero_offset_table
from .sizes import Size, resolve_size
from .weights.checkpoint import load_vit, starting_point


@MODELS.register_module()
class ViT(BaseModule):
    """Vision Transformer over whole images or a subset of their patches.

    One class for pre-training (:meth:`tokens` with ``keep``), classification (:meth:`tokens`) and dense tasks
    (:meth:`forward`). Parameter names are timm's, so official MAE and timm weights load as they are.

    Args:
        arch: 'tiny', 'small', 'base', 'large', 'huge'; width x depth x heads, such as '192x5x3'; or a dict of the
            fields of :class:`~mae_transfer.vit.sizes.Size`.
        img_size: the side, or (height, width), that the stored position table is for. For images of other sizes the
            table is resized.
        patch_size: side of a patch; default: that of ``arch`` (16; 14 for huge).
        in_channels: channels of the images.
        out_indices: blocks whose output :meth:`forward` returns as a map: numbers from 0, negative ones from the end;
            or fractions of the depth, above 0 and up to 1. (1/3 of 12 blocks: after the fourth).
        class_token: whether there is a class token. Windowed models have none (ViTDet).
        final_norm: whether :meth:`tokens` and the last map pass through a final LayerNorm. Dense recipes have none.
        window_size: side, in patches, of the windows to which attention is confined; 0 for none (ViTDet: 14).
        global_blocks: indices of the blocks that attend over all tokens in a windowed model. Default: the last block of
            each quarter (Li 2021, ViTDet).
        rel_pos: relative positions, initialized to zero. None; 'decomposed': a table for rows and one for columns in
            each block (ViTDet); 'shared': one table of 2-D offsets for all windowed blocks and one for all global
            blocks (Li 2021); 'table': one of 2-D offsets in each block, with entries for the class token (BEiT, and
            MAE's UperNet). The first two do not support a class token.
        rel_pos_img_size: the side, or (height, width), that the tables of the global blocks are for; default
            ``img_size``. For images of other sizes they are resized. The tables of windowed blocks are for the window.
        learn_positions: whether the position table is trained. It is initialized to sin-cos, which MAE keeps fixed and
            fine-tuning trains.
        drop_path_rate: stochastic depth of the last block; it rises linearly from 0 in the first.
        frozen_blocks: number of leading blocks that are not trained; the embeddings are then frozen too.
        grad_checkpoint: recompute blocks in the backward pass instead of storing their activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE_OR_WORK_DIR)`` loads weights in any known layout; a
            checkpoint of None or 'none' means random weights. ``source_grid=(rows, columns)`` is the grid of patches
            that its positions are for, where the file does not show it.

    Shapes: B images, C channels, H x W pixels, patches of p, D = embed_dim.
    """

    def __init__(
        self,
        arch: str | dict | Size = 'base',
        img_size: int | tuple[int, int] = 224,
        patch_size: int | None = None,
        in_channels: int = 3,
        out_indices: tuple[int | float, ...] = (-1,),
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
            raise UserError(f'window_size={window_size} needs class_token=False: a class token belongs to no window')
        self.out_indices = self._block_numbers(out_indices, 'out_indices')
        self.global_blocks = self._choose_global_blocks(window_size, global_blocks)
        self.frozen_blocks = frozen_blocks
        if not 0 <= frozen_blocks <= self.depth:
            raise UserError(f'frozen_blocks must be in 0..{self.depth}; found {frozen_blocks}')
        self.grad_checkpoint = grad_checkpoint
        self.window_size = window_size
        self.window_sizes = [0 if i in self.global_blocks else window_size for i in range(self.depth)]
        self.num_prefix = int(class_token)
        self._check_rel_pos(rel_pos, rel_pos_img_size)
        self.rel_pos = rel_pos
        self.rel_pos_grid = self.grid
        if rel_pos_img_size is not None:
            self.rel_pos_grid = self._grid_of(rel_pos_img_size, 'rel_pos_img_size')

        self.patch_embed = PatchEmbed(None, self.patch_size, in_channels, self.embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim)) if class_token else None
        self.pos_embed = nn.Parameter(
            sincos_table(self.embed_dim, self.grid, self.num_prefix), requires_grad=learn_positions
        )
        self.blocks = nn.ModuleList()
        for i, window in enumerate(self.window_sizes):
            table_grid = (window, window) if window else self.rel_pos_grid
            attention = make_attention(rel_pos, self.embed_dim, size.num_heads, table_grid, self.num_prefix)
            drop_path = drop_path_rate * i / max(1, self.depth - 1)
            self.blocks.append(
                Block(self.embed_dim, size.num_heads, size.mlp_ratio, drop_path, window, attention=attention)
            )
        # Only the tables that some block reads: a parameter that is never used breaks distributed training.
        self.rel_pos_window: nn.Parameter | None = None
        self.rel_pos_global: nn.Parameter | None = None
        if rel_pos == 'shared' and 0 in self.window_sizes:
            self.rel_pos_global = zero_offset_table(self.rel_pos_grid, size.num_heads)
        if rel_pos == 'shared' and any(self.window_sizes):
            self.rel_pos_window = zero_offset_table((window_size, window_size), size.num_heads)
        self.norm = nn.LayerNorm(self.embed_dim, eps=LAYER_NORM_EPS) if final_norm else nn.Identity()
        init_like_mae(self)
        self._freeze()

    def _grid_of(self, img_size: int | tuple[int, int], setting: str) -> tuple[int, int]:
        height, width = to_2tuple(img_size)
        rows, columns = height // self.patch_size, width // self.patch_size
        if height % self.patch_size or width % self.patch_size:
            raise UserError(
                f'{setting} {height} x {width} is not divisible by patch_size {self.patch_size}: choose multiples, '
                f'e.g. {max(1, rows) * self.patch_size} x {max(1, columns) * self.patch_size}'
            )
        return rows, columns

    def _check_rel_pos(self, rel_pos: str | None, rel_pos_img_size: int | tuple[int, int] | None) -> None:
        kinds = ', '.join(REL_POS_KINDS)
        if rel_pos is None:
            if rel_pos_img_size is not None:
                raise UserError(f'rel_pos_img_size={rel_pos_img_size} has no effect without rel_pos: choose {kinds}')
        elif rel_pos not in REL_POS_KINDS:
            raise UserError(f"unknown rel_pos '{rel_pos}': choose one of {kinds}, or None")
        elif self.num_prefix and rel_pos != 'table':
            raise UserError(
                f"rel_pos='{rel_pos}' needs class_token=False: only rel_pos='table' has entries for a class token"
            )

    def table_grid(self, name: str) -> tuple[int, int]:
        """(rows, columns) that a table of relative positions, named as in the state dict, is for."""
        in_block = re.match(r'blocks\.(\d+)\.', name)
        if in_block:
            is_windowed = self.window_sizes[int(in_block[1])] > 0
        else:
            is_windowed = name == 'rel_pos_window'
        return (self.window_size, self.window_size) if is_windowed else self.rel_pos_grid

    def _block_numbers(self, indices: tuple[int | float, ...], setting: str) -> tuple[int, ...]:
        """Numbers from 0 of the blocks that ``indices`` name by number, from the end, or by a fraction of the depth."""
        numbers = []
        for index in indices:
            number = index
            if isinstance(index, float) and 0 < index <= 1:
                number = max(1, round(index * self.depth)) - 1
            if not isinstance(number, int) or not -self.depth <= number < self.depth:
                raise UserError(
                    f'{setting} {tuple(indices)}: block {index} does not exist in a ViT of depth {self.depth}'
                )
            numbers.append(number % self.depth)
        return tuple(numbers)

    def _choose_global_blocks(self, window_size: int, chosen: tuple[int, ...] | None) -> tuple[int, ...]:
        if not window_size:
            return tuple(range(self.depth))
        if chosen is not None:
            return self._block_numbers(chosen, 'global_blocks')
        if self.depth % 4:
            raise UserError(
                f'depth {self.depth} has no four equal quarters, each to end in a global block: set global_blocks'
            )
        return tuple(range(self.depth // 4 - 1, self.depth, self.depth // 4))

    def init_weights(self) -> None:
        """Load the weights that ``init_cfg`` names, once; raises like
        :func:`~mae_transfer.vit.weights.checkpoint.load_vit`."""
        if self.is_init:
            return
        start = starting_point(self.init_cfg)
        if start is None:
            print_log('ViT starts from random weights', logger='current')
        else:
            load_vit(self, **start)
        self._is_init = True

    def _freeze(self) -> None:
        if not self.frozen_blocks:
            return
        for module in (self.patch_embed, *self.blocks[: self.frozen_blocks]):
            module.requires_grad_(False)
        # Shared tables act in the frozen blocks too.
        for parameter in (self.cls_token, self.pos_embed, self.rel_pos_window, self.rel_pos_global):
            if parameter is not None:
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> ViT:
        """Set the mode of all but the frozen blocks, which stay in evaluation mode, without stochastic depth."""
        super().train(mode)
        for block in self.blocks[: self.frozen_blocks]:
            block.eval()
        return self

    def tokens(self, images: Tensor, keep: Tensor | None = None, extra_tokens: Tensor | None = None) -> Tensor:
        """Encode all patches, or only the kept ones: nothing is computed for the others.

        Args:
            images: (B, C, H, W), H and W multiples of p.
            keep: (B, K) patch numbers, row-major; None for all patches in order.
            extra_tokens: (B, M, D) tokens that are encoded together with the kept patches, with :meth:`positions`
                already in them.

        Returns:
            (B, 1 + K, D), or (B, 1 + K + M, D), after the final norm, class token first (if there is one).
        """
        if keep is not None and self.window_size:
            raise UserError(
                f'a ViT with windows of {self.window_size} takes whole images only: pre-train with window_size=0'
            )
        if keep is not None and self.rel_pos:
            raise UserError(f"a ViT with rel_pos='{self.rel_pos}' takes whole images only: pre-train with rel_pos=None")
        x, grid = self._embed(images, keep)
        if extra_tokens is not None:
            x = torch.cat([x, extra_tokens.to(x.dtype)], dim=1)
        for i in range(self.depth):
            x = self._run_block(i, x, grid)
        return self.norm(x)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The position embedding (1, 1 + N, D) for a grid of (rows, columns), the class token's first (if there is
        one)."""
        return resize_pos_embed(self.pos_embed, self.grid, grid, self.num_prefix)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute maps for dense tasks from images of any size.

        Args:
            images: (B, C, H, W); padded with zeros at the bottom and the right to multiples of p.

        Returns:
            A map (B, D, ceil(H / p), ceil(W / p)) for each of ``out_indices``; that of the last block passes the final
            norm (if there is one).
        """
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.patch_size, 0, -height % self.patch_size))
        x, grid = self._embed(images)
        maps = {}
        for i in range(max(self.out_indices) + 1):
            x = self._run_block(i, x, grid)
            if i in self.out_indices:
                tokens = self.norm(x) if i == self.depth - 1 else x
                maps[i] = tokens[:, self.num_prefix :].transpose(1, 2).unflatten(2, grid)
        return tuple(maps[i] for i in self.out_indices)

    def _embed(self, images: Tensor, keep: Tensor | None = None) -> tuple[Tensor, tuple[int, int]]:
        """Tokens with positions, class token first (if there is one), and the (rows, columns) of all patches."""
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

    def _run_block(self, i: int, x: Tensor, grid: tuple[int, int]) -> Tensor:
        block = self.blocks[i]
        table = self.rel_pos_window if self.window_sizes[i] else self.rel_pos_global
        if self.grad_checkpoint and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, grid, table, use_reentrant=False)
        return block(x, grid, table)
