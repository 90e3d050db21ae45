"""docs/weights.md: its reports and errors are those of files that timm, transformers and accidents make."""

from __future__ import annotations

import re

import pytest
import timm
import torch

from mae_transfer.errors import UserError
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import load_vit
from tests.docs.documents import REPOSITORY

TEXT = (REPOSITORY / 'docs' / 'weights.md').read_text()
REPORTS = [
    [line.removeprefix('    ') for line in block.strip('\n').splitlines()]
    for block in re.findall(r'((?:^ {4}\S.*\n(?: {6}.*\n)*))', TEXT, re.MULTILINE)
]
ERRORS = re.findall(r'^\| [^|]+ \| `([^`]+)` \|$', TEXT, re.MULTILINE)


def saved(folder, name: str) -> dict:
    torch.manual_seed(0)
    state = timm.create_model(name).state_dict()
    torch.save(state, folder / f'{name}.pth')
    return state


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    state = saved(folder, 'vit_tiny_patch16_224')
    file = folder / 'vit_tiny_patch16_224.pth'
    (folder / 'cut.pth').write_bytes(file.read_bytes()[:100000])
    (folder / 'lfs.pth').write_text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n')
    state.pop('blocks.3.attn.qkv.weight')
    torch.save(state, folder / 'less.pth')
    saved(folder, 'resnet18')
    return folder


def is_shown(line: str, lines: list[str]) -> bool:
    """Whether a line of the document, with '...' for any rest, is one of the lines."""
    return any(other.startswith(line[:-3]) if line.endswith('...') else other == line for other in lines)


def test_the_document_shows_reports_and_errors():
    assert len(REPORTS) == 5 and len(ERRORS) == 5


@pytest.mark.parametrize(
    ('number', 'settings'),
    [
        (0, {}),
        (1, dict(img_size=(224, 448), in_channels=4)),
        (2, dict(rel_pos='decomposed', class_token=False, final_norm=False, window_size=7)),
    ],
)
def test_a_report_on_a_file_of_timm_is_as_shown(number, settings, folder, monkeypatch):
    monkeypatch.chdir(folder)
    report = str(load_vit(ViT('tiny', **settings), 'vit_tiny_patch16_224.pth')).splitlines()
    assert all(is_shown(line, report) for line in REPORTS[number]), report


def test_the_report_on_a_folder_of_transformers_is_as_shown(folder, monkeypatch):
    transformers = pytest.importorskip('transformers')
    monkeypatch.chdir(folder)
    decoder = dict(decoder_hidden_size=64, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)
    config = transformers.ViTMAEConfig(
        hidden_size=192, num_attention_heads=3, intermediate_size=768, decoder_intermediate_size=256, **decoder
    )
    transformers.ViTMAEForPreTraining(config).save_pretrained('vit-mae-tiny')
    report = str(load_vit(ViT('tiny'), 'vit-mae-tiny')).splitlines()
    assert all(is_shown(line, report) for line in REPORTS[3]), report


def test_the_report_on_deit_iii_is_as_shown(folder, monkeypatch):
    monkeypatch.chdir(folder)
    saved(folder, 'deit3_small_patch16_224')
    report = str(load_vit(ViT('small'), 'deit3_small_patch16_224.pth')).splitlines()
    assert all(is_shown(line, report) for line in REPORTS[4]), report


@pytest.mark.parametrize(
    ('number', 'file', 'arch'),
    [
        (0, 'vit_tiny_patch16_224.pth', 'small'),
        (1, 'resnet18.pth', 'tiny'),
        (2, 'less.pth', 'tiny'),
        (3, 'cut.pth', 'tiny'),
        (4, 'lfs.pth', 'tiny'),
    ],
)
def test_an_error_is_as_shown(number, file, arch, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=re.escape(ERRORS[number].removesuffix('...'))):
        load_vit(ViT(arch), file)
