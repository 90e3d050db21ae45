"""The Vision Transformer."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from timm.layers import PatchEmbed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import UserError
from ..registry import MODELS
from .block import Block
from .block_numbers import block_numbers, global_block_numbers
from .design import Design, resolve_design
from .initialization import init_like_mae
from .patches import patch_grid, take_patches
from .places import Places, rotary_turns
from .position import resize_pos_embed, sincos_table
from .position_tables import check_rel_pos, zero_offset_table
from .relative_position import make_attention
from .rotary import make_rotary
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
        design: what the ViT has beside its size: a name of :data:`~mae_transfer.vit.design.DESIGNS`, such as 'dinov3',
            or a dict of the fields of :class:`~mae_transfer.vit.design.Design`, such as ``dict(registers=4,
            layer_scale=1e-5)`` or ``dict(like='dinov3', mlp='swiglu')``. None: the plain ViT.
        out_indices: blocks whose output :meth:`forward` returns as a map: numbers from 0, negative ones from the end;
            or fractions of the depth, above 0 and up to 1. (1/3 of 12 blocks: after the fourth).
        class_token: whether there is a class token. Windowed models have none (ViTDet).
        final_norm: whether :meth:`tokens` and the last map pass through a final LayerNorm. Dense recipes have none.
        window_size: side, in patches, of the windows to which attention is confined; 0 for none (ViTDet: 14).
        global_blocks: indices of the blocks that attend over all tokens in a windowed model. Default: the last block of
            each quarter (Li 2021, ViTDet).
        rel_pos: relative positions, initialized to zero. None; 'decomposed': a table for rows and one for columns in
            each block (ViTDet), without a class token; 'shared': one table of 2-D offsets for all windowed blocks and
            one for all global blocks (Li 2021, and BEiT's pre-training); 'table': one of 2-D offsets in each block
            (BEiT, and MAE's UperNet). The last two have entries for the class token, if there is one.
        rotary_img_size: the side, or (height, width), in whose patches the rotary positions of 'eva02' count: that of
            its pre-training; default ``img_size``.
        rel_pos_img_size: the side, or (height, width), that the tables of the global blocks are for; default
            ``img_size``. For images of other sizes they are resized. The tables of windowed blocks are for the window.
        learn_positions: whether the position table is trained. It is initialized to sin-cos, which MAE keeps fixed and
            fine-tuning trains.
        drop_path_rate: stochastic depth of the last block; it rises linearly from 0 in the first.
        frozen_blocks: number of leading blocks that are not trained; the embeddings are then frozen too.
        grad_checkpoint: recompute blocks in the backward pass instead of storing their activations.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE_OR_WORK_DIR)`` loads weights in any known layout; a
            checkpoint of None or 'none' means random weights. ``source_grid=(rows, columns)`` is the grid of patches
            that its positions are for, where the file does not show it; ``weights_key`` chooses one of several ViTs in
            the file, such as 'state_dict_ema' or 'student.backbone'.

    Shapes: B images, C channels, H x W pixels, patches of p, D = embed_dim.
    """

    def __init__(
        self,
        arch: str | dict | Size = 'base',
        img_size: int | tuple[int, int] = 224,
        patch_size: int | None = None,
        in_channels: int = 3,
        design: str | dict | Design | None = None,
        out_indices: tuple[int | float, ...] = (-1,),
        class_token: bool = True,
        final_norm: bool = True,
        window_size: int = 0,
        global_blocks: tuple[int, ...] | None = None,
        rel_pos: str | None = None,
        rel_pos_img_size: int | tuple[int, int] | None = None,
        rotary_img_size: int | tuple[int, int] | None = None,
        learn_positions: bool = False,
        drop_path_rate: float = 0.0,
        frozen_blocks: int = 0,
        grad_checkpoint: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.size, self.design = resolve_size(arch), resolve_design(design)
        self.embed_dim, self.depth = self.size.embed_dim, self.size.depth
        self.patch_size = patch_size or self.size.patch_size
        self.in_channels = in_channels
        self.grid = patch_grid(img_size, self.patch_size, 'img_size')
        if window_size and (class_token or self.design.registers):
            raise UserError(
                f'window_size={window_size} needs class_token=False and no registers: they belong to no window'
            )
        self.out_indices = block_numbers(out_indices, self.depth, 'out_indices')
        self.global_blocks = global_block_numbers(self.depth, window_size, global_blocks)
        self.frozen_blocks = frozen_blocks
        if not 0 <= frozen_blocks <= self.depth:
            raise UserError(f'frozen_blocks must be in 0..{self.depth}; found {frozen_blocks}')
        self.grad_checkpoint = grad_checkpoint
        self.window_size = window_size
        self.window_sizes = [0 if i in self.global_blocks else window_size for i in range(self.depth)]
        self.num_prefix = int(class_token)
        check_rel_pos(rel_pos, class_token, self.design.registers, rel_pos_img_size)
        self.rel_pos = rel_pos
        self.rel_pos_grid = self._grid_for(rel_pos_img_size, 'rel_pos_img_size')
        rotary_grid = self._grid_for(rotary_img_size, 'rotary_img_size')
        self.rotary = make_rotary(
            self.design.rotary, self.embed_dim // self.size.num_heads, rotary_grid, rotary_img_size
        )

        self.patch_embed = PatchEmbed(None, self.patch_size, in_channels, self.embed_dim, bias=self.design.patch_bias)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim)) if class_token else None
        self.reg_token: nn.Parameter | None = None
        if self.design.registers:
            self.reg_token = nn.Parameter(torch.zeros(1, self.design.registers, self.embed_dim))
        self.pos_embed: nn.Parameter | None = None
        if self.design.absolute_positions:
            table = sincos_table(self.embed_dim, self.grid, self.num_prefix)
            self.pos_embed = nn.Parameter(table, requires_grad=learn_positions)
        self.norm_pre = self.design.norm(self.embed_dim) if self.design.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(self._make_block(i, drop_path_rate) for i in range(self.depth))
        # Only the tables that some block reads: a parameter that is never used breaks distributed training.
        self.rel_pos_window: nn.Parameter | None = None
        self.rel_pos_global: nn.Parameter | None = None
        if rel_pos == 'shared' and 0 in self.window_sizes:
            self.rel_pos_global = zero_offset_table(self.rel_pos_grid, self.size.num_heads, self.num_prefix)
        if rel_pos == 'shared' and any(self.window_sizes):
            self.rel_pos_window = zero_offset_table((window_size, window_size), self.size.num_heads)
        self.norm = self.design.norm(self.embed_dim) if final_norm else nn.Identity()
        init_like_mae(self)
        self._freeze()

    def _grid_for(self, img_size: int | tuple[int, int] | None, setting: str) -> tuple[int, int]:
        """The grid of patches of an image size; that of the ViT's positions where it is None."""
        return self.grid if img_size is None else patch_grid(img_size, self.patch_size, setting)

    def _make_block(self, number: int, drop_path_rate: float) -> Block:
        size, window = self.size, self.window_sizes[number]
        table_grid = (window, window) if window else self.rel_pos_grid
        attention = make_attention(
            self.rel_pos, size.embed_dim, size.num_heads, table_grid, self.num_prefix, self.design
        )
        drop_path = drop_path_rate * number / max(1, self.depth - 1)
        return Block(size.embed_dim, size.num_heads, size.mlp_ratio, drop_path, window, attention, self.design)

    def table_grid(self, name: str) -> tuple[int, int]:
        """(rows, columns) that a table of relative positions, named as in the state dict, is for."""
        in_block = re.match(r'blocks\.(\d+)\.', name)
        if in_block:
            is_windowed = self.window_sizes[int(in_block[1])] > 0
        else:
            is_windowed = name == 'rel_pos_window'
        return (self.window_size, self.window_size) if is_windowed else self.rel_pos_grid

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
        shared = (self.cls_token, self.reg_token, self.pos_embed, self.rel_pos_window, self.rel_pos_global)
        for parameter in (*shared, *self.norm_pre.parameters()):
            if parameter is not None:
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> ViT:
        """Set the mode of all but the frozen blocks, which stay in evaluation mode, without stochastic depth."""
        super().train(mode)
        for block in self.blocks[: self.frozen_blocks]:
            block.eval()
        return self

    def tokens(self, images: Tensor, keep: Tensor | None = None, mask_token: Tensor | None = None) -> Tensor:
        """Encode all patches, or only the kept ones: nothing is computed for the others.

        Args:
            images: (B, C, H, W), H and W multiples of p.
            keep: (B, K) patch numbers, row-major; None for all patches in order.
            mask_token: (1, 1, D), takes the place of the patches that are not kept; all are then encoded, in order.

        Returns:
            (B, class + K, D), or (B, class + N, D) with a mask token, after the final norm, class token first (if there
            is one). Registers are left out.
        """
        if keep is not None and mask_token is None:
            if self.window_size:
                raise UserError(
                    f'a ViT with windows of {self.window_size} takes whole images only: pre-train with window_size=0'
                )
            if self.rel_pos:
                raise UserError(
                    f"a ViT with rel_pos='{self.rel_pos}' takes whole images only: pre-train with rel_pos=None"
                )
        x, grid = self._embed(images, keep, mask_token)
        places = self._places(grid, keep if mask_token is None else None)
        for i in range(self.depth):
            x = self._run_block(i, x, places)
        x = self.norm(x)
        if self.reg_token is None:
            return x
        return torch.cat([x[:, : self.num_prefix], x[:, self.num_special :]], dim=1)

    @property
    def num_special(self) -> int:
        """Number of tokens before the patches within the ViT: class token and registers."""
        return self.num_prefix + self.design.registers

    def positions(self, grid: tuple[int, int]) -> Tensor | None:
        """The position embedding (1, class + N, D) for a grid of (rows, columns), the class token's first (if there is
        one); None without absolute positions."""
        if self.pos_embed is None:
            return None
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
        places = self._places(grid)
        maps = {}
        for i in range(max(self.out_indices) + 1):
            x = self._run_block(i, x, places)
            if i in self.out_indices:
                tokens = self.norm(x) if i == self.depth - 1 else x
                # Not by ``unflatten``, after which an export takes the sides of the maps for constants.
                maps[i] = tokens[:, self.num_special :].transpose(1, 2).reshape(x.shape[0], self.embed_dim, *grid)
        return tuple(maps[i] for i in self.out_indices)

    def _embed(
        self, images: Tensor, keep: Tensor | None = None, mask_token: Tensor | None = None
    ) -> tuple[Tensor, tuple[int, int]]:
        """The tokens of the first block, class token and registers first, and the (rows, columns) of all patches."""
        if images.shape[1] != self.in_channels:
            raise ValueError(f'this ViT takes {self.in_channels} channels; found images of shape {tuple(images.shape)}')
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f'an image of {height} x {width} does not divide into patches of {self.patch_size}')
        grid = (height // self.patch_size, width // self.patch_size)
        x = self.patch_embed(images) if keep is None else self._embed_kept(images, keep)
        if keep is not None and mask_token is not None:
            everywhere = mask_token.to(x.dtype).expand(x.shape[0], grid[0] * grid[1], -1)
            x, keep = everywhere.scatter(1, keep[..., None].expand_as(x), x), None
        prefix: Tensor | None = self.cls_token
        positions = self.positions(grid)
        if positions is not None:
            patches = positions[0, self.num_prefix :]
            x = x + (patches if keep is None else patches[keep])
            prefix = None if prefix is None else prefix + positions[:, : self.num_prefix]
        special = [t.expand(x.shape[0], -1, -1).to(x.dtype) for t in (prefix, self.reg_token) if t is not None]
        return self.norm_pre(torch.cat([*special, x], dim=1)), grid

    def _embed_kept(self, images: Tensor, keep: Tensor) -> Tensor:
        """The kept patches, embedded: (B, K, D)."""
        proj = self.patch_embed.proj
        return F.linear(take_patches(images, self.patch_size, keep).flatten(2), proj.weight.flatten(1), proj.bias)

    def _places(self, grid: tuple[int, int], keep: Tensor | None = None) -> tuple[Places, Places]:
        """Where the tokens are: in the blocks that attend over all of them, and in those that attend within windows."""
        like = self.patch_embed.proj.weight
        turns = rotary_turns(self.rotary, grid, self.num_special, self.window_size, like, keep)
        return Places(grid, self.rel_pos_global, turns[0]), Places(grid, self.rel_pos_window, turns[1])

    def _run_block(self, i: int, x: Tensor, places: tuple[Places, Places]) -> Tensor:
        block, place = self.blocks[i], places[self.window_sizes[i] > 0]
        if self.grad_checkpoint and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, place, use_reentrant=False)
        return block(x, place)
