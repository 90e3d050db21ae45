"""Files of other projects' ViTs: the same tokens and gradients after loading, at three sizes, and the way back into the
projects' own classes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from mae_transfer.benchmarks.equality import Start, measure
from mae_transfer.benchmarks.equality_official import OFFICIAL_STARTS
from mae_transfer.benchmarks.equality_table import all_starts
from mae_transfer.vit.weights.checkpoint import read_weights
from mae_transfer.vit.weights.layouts import from_canonical
from mae_transfer.vit.weights.merged_weights import class_row_in_token
from mae_transfer.vit.weights.peers import PEERS
from mae_transfer.vit.weights.source_grid import add_class_row

STARTS = all_starts()
NAMES = [f'{start.source.partition(",")[0]}-{start.name}' for start in STARTS]


@pytest.mark.parametrize('number', range(3))
@pytest.mark.parametrize('start', STARTS, ids=NAMES)
def test_tokens_and_gradients_are_the_same(start: Start, number: int):
    found = measure(start, start.sizes[number])
    assert found.features < 1e-5 and found.gradients < 1e-5
    report = found.report
    assert report.layout == start.layout and not report.missing and not report.at_zero and not report.resized
    ours = start.our_vit(start.sizes[number])
    assert len(report.loaded) == len(ours.state_dict()) and found.shared == len(list(ours.parameters()))


def test_every_layout_is_started_from():
    assert set(PEERS) - {start.layout for start in STARTS} == set()


#: No way back into these: transformers' layout wants a class token; data2vec's names are BEiT's behind another prefix.
ONE_WAY = ('I-JEPA', 'data2vec')
BACK = [start for start in STARTS if start.names is None and start.name not in ONE_WAY]
#: Weights that are no part of a ViT.
OUTSIDE = ('head', 'neck.', 'attn_pool.', 'mask_token', 'decoder.', 'projection.', 'pooler.', 'position_index')


@pytest.mark.parametrize('start', BACK, ids=[NAMES[STARTS.index(start)] for start in BACK])
def test_the_way_back_into_the_projects_class(start: Start, tmp_path):
    size = start.sizes[0]
    theirs = start.model(size)
    images = torch.randn(2, 3, *size)
    expected = start.tokens(theirs, images)
    encoder, _ = add_class_row(read_weights(start.save(theirs, tmp_path)).encoder)
    state = from_canonical(encoder, None, start.back or start.layout)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.fill_(torch.nan)
    if isinstance(theirs, PreTrainedModel):
        save_file({n: v.contiguous() for n, v in state.items()}, tmp_path / 'model.safetensors', {'format': 'pt'})
        theirs, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
        missing, unexpected = info['missing_keys'], info['unexpected_keys']
        theirs.eval()
    else:
        if getattr(theirs, 'no_embed_class', False) and 'reg_token' not in state:  # DeiT III, of which no name tells
            state = class_row_in_token(state)
        missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and not [name for name in missing if not any(part in name for part in OUTSIDE)]
    torch.testing.assert_close(start.tokens(theirs, images), expected, rtol=1e-5, atol=1e-6)


OFFICIAL = [start for start in OFFICIAL_STARTS if start.name in ('DINOv2 giant', 'DINOv3', 'DINOv3, 7B', 'SAM')]
OFFICIAL += [start for start in OFFICIAL_STARTS if start.layout in ('openai_clip', 'timm_beit')]


@pytest.mark.parametrize('start', OFFICIAL, ids=lambda start: start.name)
def test_the_way_back_to_official_names(start: Start):
    file = start.names(dict(start.model((32, 32)).state_dict()))
    weights = read_weights(file)
    back = from_canonical(weights.encoder, None, start.layout)
    outside = {*weights.other, *weights.head}
    assert back.keys() == file.keys() - outside
    for name, value in back.items():
        found = value
        if f'{name}_mask' in file:  # the bias of keys, which is not used
            found, value = found * file[f'{name}_mask'], file[name] * file[f'{name}_mask']
        else:
            value = file[name]
        assert torch.equal(found, value), name
