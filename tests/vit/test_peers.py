"""Maps and gradients equal those of transformers' ViTDet and MMSegmentation's MAE with the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

import mae_transfer  # noqa: F401  (provides the compiled ops that mmcv lacks)
from mae_transfer.vit import ViT
from mae_transfer.vit.position_tables import is_rel_pos_table
from mae_transfer.vit.weights.checkpoint import CheckpointError, load_vit
from tests.vit.weights.test_checkpoint import randomize

DIM, DEPTH, HEADS = 64, 4, 2


def vitdet_names(ours: Mapping[str, Tensor], class_row: Tensor) -> dict[str, Tensor]:
    """Our weights with the names of transformers' VitDetBackbone, whose position table has an unused row for a class
    token."""
    renamed = {}
    for name, value in ours.items():
        if name == 'pos_embed':
            renamed['embeddings.position_embeddings'] = torch.cat([class_row, value], dim=1)
        else:
            name = name.replace('patch_embed.proj', 'embeddings.projection')
            renamed[name.replace('blocks.', 'encoder.layer.').replace('.attn.', '.attention.')] = value
    return renamed


def vitdet_pair(image_size: tuple[int, int], table_size: tuple[int, int], window: int):
    from transformers import VitDetBackbone, VitDetConfig

    ours = ViT(
        dict(embed_dim=DIM, depth=DEPTH, num_heads=HEADS),
        class_token=False,
        final_norm=False,
        window_size=window,
        global_blocks=(1, 3),
        rel_pos='decomposed',
        rel_pos_img_size=table_size,
        out_indices=(1, 3),
        learn_positions=True,
    )
    theirs = VitDetBackbone(
        VitDetConfig(
            hidden_size=DIM,
            num_hidden_layers=DEPTH,
            num_attention_heads=HEADS,
            image_size=list(table_size),
            pretrain_image_size=224,
            window_size=window,
            window_block_indices=[0, 2],
            use_relative_position_embeddings=True,
            out_indices=[2, 4],
        )
    )
    randomize(ours)
    theirs.load_state_dict(vitdet_names(ours.state_dict(), torch.randn(1, 1, DIM)))
    return ours.eval(), theirs.eval(), torch.randn(1, 3, *image_size)


@pytest.mark.parametrize(
    'image_size, table_size',
    [
        ((224, 224), (224, 224)),
        ((512, 384), (512, 384)),
        ((1024, 1024), (1024, 1024)),
        ((224, 320), (512, 384)),
        ((320, 224), (192, 192)),
    ],
    ids=['224', '512x384', '1024', 'smaller than its tables', 'larger than its tables'],
)
def test_equals_transformers_vitdet(image_size, table_size):
    ours, theirs, images = vitdet_pair(image_size, table_size, 14 if image_size[0] > 224 else 5)
    with torch.no_grad():
        for one, other in zip(ours(images), theirs(images).feature_maps, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_gradients_equal_transformers_vitdet():
    ours, theirs, images = vitdet_pair((160, 128), (128, 160), 3)
    images = torch.cat([images, torch.randn_like(images)])
    gradients = []
    for model, run in ((ours, ours), (theirs, lambda x: theirs(x).feature_maps)):
        taken = images.clone().requires_grad_()
        sum(m.sin().mean() for m in run(taken)).backward()
        gradients.append((taken.grad, {name: value.grad for name, value in model.named_parameters()}))
    (grad, ours_by_name), (expected, theirs_by_name) = gradients
    torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-7)
    renamed = vitdet_names(ours_by_name, torch.zeros(1, 1, DIM))
    assert set(renamed) == set(theirs_by_name) and sum(map(is_rel_pos_table, renamed)) == 2 * DEPTH
    for name, value in renamed.items():
        assert value.abs().max() > 0, name
        torch.testing.assert_close(
            value, theirs_by_name[name], rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f'{name}: {text}'
        )


def mmseg_mae(img_size: int | tuple[int, int], **changes):
    """As in MMSegmentation's configs/mae: no final norm, LayerNorm with an eps of 1e-6, layer scale of 1."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from mmseg.models.backbones.mae import MAE

        return MAE(
            **dict(
                dict(
                    img_size=img_size,
                    patch_size=16,
                    embed_dims=DIM,
                    num_layers=DEPTH,
                    num_heads=HEADS,
                    init_values=1.0,
                    norm_cfg=dict(type='LN', eps=1e-6),
                    out_indices=[0, 1, 3],
                ),
                **changes,
            )
        )


def vit_like_mmseg(img_size: int | tuple[int, int], **changes) -> ViT:
    return ViT(
        **dict(
            dict(
                arch=dict(embed_dim=DIM, depth=DEPTH, num_heads=HEADS),
                img_size=img_size,
                rel_pos='table',
                final_norm=False,
                out_indices=(0, 1, 3),
            ),
            **changes,
        )
    )


@pytest.mark.parametrize('img_size', [(64, 64), (512, 512), (96, 160)], ids=str)
@pytest.mark.parametrize('scaled', [False, True], ids=['neutral', 'layer scale'])
def test_equals_mmsegs_mae_and_loads_its_file(img_size, scaled):
    theirs = randomize(mmseg_mae(img_size))
    theirs.eval()  # does not return the model
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            if 'gamma' in name and not scaled:
                value.fill_(1)
    ours = vit_like_mmseg(img_size)
    report = load_vit(
        ours, {'state_dict': {f'backbone.{k}': v for k, v in theirs.state_dict().items()}}, source_grid=ours.grid
    )
    assert not report.missing and not report.at_zero and not report.resized
    assert torch.equal(
        ours.blocks[2].attn.relative_position_bias_table, theirs.layers[2].attn.relative_position_bias_table
    )
    images = torch.randn(2 if img_size[0] < 512 else 1, 3, *img_size)
    results = []
    for model in (ours.eval(), theirs):
        taken = images.clone().requires_grad_()
        maps = model(taken)
        sum(m.sin().mean() for m in maps).backward()
        results.append((maps, taken.grad))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-4, atol=1e-7)
    if not scaled:
        for mine, its in zip(ours.blocks, theirs.layers):
            torch.testing.assert_close(
                mine.attn.relative_position_bias_table.grad,
                its.attn.relative_position_bias_table.grad,
                rtol=1e-4,
                atol=1e-7,
            )


def test_a_layer_scale_without_its_layer_is_refused():
    state = {name: value for name, value in mmseg_mae(64).state_dict().items() if name != 'layers.1.attn.proj.bias'}
    with pytest.raises(
        CheckpointError, match="'blocks.1.ls1.gamma' scales 'blocks.1.attn.proj.bias', which is not there"
    ):
        load_vit(vit_like_mmseg(64), state)
