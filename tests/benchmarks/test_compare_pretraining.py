"""MAE next to other projects': only what computes the same is timed, on the same work."""

from __future__ import annotations

import json
from statistics import median

import pytest
import torch

from mae_transfer.benchmarks import pretrain_sides
from mae_transfer.benchmarks.backbones import Setup
from mae_transfer.benchmarks.compare_pretraining import HEAD, table
from mae_transfer.benchmarks.official_mae import use_official
from mae_transfer.benchmarks.peak_memory import bytes_of
from mae_transfer.benchmarks.pretrain_peers import PRETRAIN_PEERS
from mae_transfer.benchmarks.pretrain_sides import Side, Work, check_same_loss, losses, side_memory
from mae_transfer.benchmarks.same_work import masked_share
from mae_transfer.errors import UserError
from tests.tools.commands import call, error_line

TINY = Work(Setup('32x2x2', batch=2), image_size=64, decoder='16x1x2')
OPTIONS = ('--arch', '32x2x2', '--decoder', '16x1x2', '--image-size', 64, '--batch', 2, '--threads', 1, '--rounds', 2)

#: A module with the interface of the official one, that needs what the official one needs of old versions.
STAND_IN = """
import numpy as np
from timm.models.vision_transformer import Block
from mae_transfer.benchmarks.backbones import Setup
from mae_transfer.benchmarks.plain_mae import PlainMAE
from mae_transfer.benchmarks.pretrain_sides import Work, build_ours

class MaskedAutoencoderViT(PlainMAE):
    def __init__(self, img_size, patch_size, in_chans, embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth,
                 decoder_num_heads, mlp_ratio, norm_layer, norm_pix_loss):
        decoder = f'{decoder_embed_dim}x{decoder_depth}x{decoder_num_heads}'
        super().__init__(build_ours(Work(Setup(f'{embed_dim}x{depth}x{num_heads}'), img_size, decoder).config()))
        assert norm_pix_loss and not Block(16, 2, np.float(4), qkv_bias=True, qk_scale=None).attn.fused_attn

    def forward(self, images, mask_ratio):
        assert int(16 * (1 - mask_ratio)) == 4
        return super().forward(images), None, None
"""


@pytest.fixture
def run_here(monkeypatch):
    monkeypatch.setattr(Setup, 'run_isolated', lambda self, function, *arguments: function(*arguments))


@pytest.mark.parametrize('name', [name for name in PRETRAIN_PEERS if name != 'official'])
def test_the_same_weights_images_and_mask_give_the_same_loss(name):
    try:
        PRETRAIN_PEERS[name].load()
    except UserError as error:
        pytest.skip(str(error))
    other = Work(Setup('48x1x3', batch=1), image_size=96, decoder='32x2x4')
    for work in (TINY, other):
        (ours, theirs), (our_rounded, their_rounded) = losses(name, work, torch.float32, torch.bfloat16)
        assert ours == pytest.approx(theirs, abs=1e-5) and ours > 0.5
        assert our_rounded == pytest.approx(their_rounded, abs=0.01) and our_rounded != ours


@pytest.mark.parametrize('weight', ['blocks.1.attn.qkv.weight', 'decoder_pos_embed', 'mask_token'])
def test_a_peer_that_computes_something_else_is_refused(weight, monkeypatch, run_here):
    def load_and_change(ours, name, theirs):
        load(ours, name, theirs)
        with torch.no_grad():
            theirs.get_parameter(weight)[..., :3] += 0.1

    load = pretrain_sides.load_theirs
    assert set(check_same_loss('plain', TINY)) == {'float32', 'bfloat16'}
    monkeypatch.setattr(pretrain_sides, 'load_theirs', load_and_change)
    with pytest.raises(UserError, match=r'plain computes something else than ours: .* its loss is 1\.\d+, ours 1\.'):
        check_same_loss('plain', TINY)


def test_a_peer_with_other_weights_is_not_compared_and_says_why(monkeypatch, run_here):
    class Other(PRETRAIN_PEERS['plain'].build):
        def __init__(self, ours):
            super().__init__(ours)
            self.decoder_blocks[0].ls3 = torch.nn.Linear(2, 2)

    monkeypatch.setitem(PRETRAIN_PEERS, 'plain', PRETRAIN_PEERS['plain']._replace(build=Other))
    assert check_same_loss('plain', TINY) == "not compared: 'decoder.blocks.0.ls3.weight' is in one of the two alone"


def test_the_official_code_works_with_versions_of_today(tmp_path, monkeypatch):
    (tmp_path / 'models_mae.py').write_text(STAND_IN)
    monkeypatch.delitem(__import__('sys').modules, 'models_mae', raising=False)
    use_official(tmp_path)
    ours, theirs = losses('official', TINY, torch.float32)[0]
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert not hasattr(__import__('numpy'), 'float')


def test_ours_has_the_optimiser_of_the_config_and_a_peer_the_default():
    ours, plain = Side('ours', TINY), Side('plain', TINY)
    settings = TINY.config().optim_wrapper.optimizer
    assert {'betas': settings.betas, 'weight_decay': settings.weight_decay}.items() <= plain.optimizer.defaults.items()
    assert plain.optimizer.defaults['fused'] is plain.optimizer.defaults['foreach'] is None
    assert all(ours.wrapper.optimizer.defaults[key] == value for key, value in settings.items() if key != 'type')
    trained = [sum(p.numel() for p in side.model.parameters() if p.requires_grad) for side in (ours, plain)]
    assert trained[0] == trained[1]
    for side in (ours, plain):
        before = [weight.clone() for weight in side.model.parameters()]
        side.forward_backward(TINY.images())
        side.update()
        changed = [not torch.equal(one, other) for one, other in zip(before, side.model.parameters())]
        assert sum(changed) >= len(changed) - 6 and all(weight.grad is None for weight in side.model.parameters())


def test_the_share_of_masked_patches_keeps_as_many():
    ours = pretrain_sides.build_ours(TINY.config())
    assert int(16 * (1 - masked_share(ours))) == ours.masking.num_kept((4, 4)) == 4


def test_memory_is_that_of_weights_gradients_and_moments():
    work = Work(Setup('256x4x4', batch=1), image_size=64, decoder='128x1x4')
    weights = bytes_of(pretrain_sides.build_ours(work.config()).parameters()) / 1e9
    found = [work.setup.run_isolated(side_memory, name, work) for name in ('ours', 'plain')]
    for memory in found:
        assert 3.8 * weights < memory < 8 * weights


def test_the_table_has_ratios_of_the_same_rounds():
    ours = dict(passes_s=[1.0, 2.0, 1.0], step_s=[2.0, 4.0, 2.0], GB=2.0, loss=None)
    theirs = dict(passes_s=[2.0, 2.0, 3.0], step_s=[2.0, 8.0, 5.0], GB=3.0, loss={'float32': 1e-7})
    large = dict(loss='not compared: does not fit')
    found = dict(matrix_flops=4e12, step_flops=2e12, sides=dict(ours=ours, theirs=theirs, large=large))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table(found, 8).splitlines()[2:]]
    assert rows[0] == ['ours', '1', '', '2', '', '4', '2', '', '1', '25%', '']
    assert rows[1][1:6] == ['2', '2.00 (1.00 to 3.00)', '5', '2.00 (1.00 to 2.50)', '1.6']
    assert rows[1][6:] == ['3', '1.50', '0.4', '10%', 'float32 1.0e-07']
    assert rows[2] == ['large', 'does not fit', *[''] * (len(HEAD) - 3), 'not compared: does not fit']


@pytest.mark.skipif(torch.cuda.is_available(), reason='a process in which a GPU has computed cannot be forked')
def test_every_side_is_measured(tmp_path):
    file = tmp_path / 'new' / 'found.json'
    ended = call('benchmark', 'pretrain', '--peers', 'plain', *OPTIONS, '--dtype', 'bfloat16', '--json', file)
    assert ended.code == 0, ended.err
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in ended.out.splitlines() if line[:1] == '|'][2:]
    found = json.loads(file.read_text())
    assert [row[0] for row in rows] == list(found['sides']) == ['ours', 'plain']
    for row, side in zip(rows, found['sides'].values()):
        assert len(side['passes_s']) == len(side['step_s']) == 2
        assert all(0 < one < both for one, both in zip(side['passes_s'], side['step_s']))
        assert row[5] == f'{2 / median(side["step_s"]):.4g}' and side['GB'] > 0
    assert set(found['sides']['plain']['loss']) == {'float32', 'bfloat16'}
    assert found['sides']['plain']['loss']['float32'] < 1e-5 and found['matrix_flops'] > 1e8


@pytest.mark.parametrize(
    'options, words',
    [
        (['--peers', 'plain', 'detectron'], "--peers: unknown peer 'detectron'; choose from plain, transformers"),
        (['--peers', 'lightly'], "peer 'lightly' needs the package its-package: pip install its-package, or name"),
        (['--peers', 'official'], "peer 'official' needs a checkout of facebookresearch/mae: name it by --official"),
        (['--official', '/nowhere'], '--official: /nowhere has no models_mae.py'),
        (['--image-size', 60], '--image-size 60 is no multiple of the patches of --arch base'),
        (['--arch', 'enormous'], "unknown arch 'enormous'"),
        (['--decoder', '16x1'], "unknown arch '16x1'"),
        (['--batch', 0], '--batch, --rounds and --threads must be 1 or more'),
    ],
)
def test_impossible_options_are_reported_in_one_line(options, words, monkeypatch):
    monkeypatch.setattr('mae_transfer.benchmarks.official_mae._official', [])
    missing = PRETRAIN_PEERS['lightly']._replace(load=lambda: _import('lightly', 'not_there', 'its-package'))
    monkeypatch.setitem(PRETRAIN_PEERS, 'lightly', missing)
    own = [] if '--peers' in options else ['--peers', 'plain']
    assert words in error_line(call('benchmark', 'pretrain', *own, *options))


def test_a_peer_that_is_not_installed_is_left_out_with_a_line(monkeypatch, capsys):
    from mae_transfer.benchmarks.compare_pretraining import parse_args

    for name in ('lightly', 'mmpretrain'):
        missing = PRETRAIN_PEERS[name]._replace(load=lambda name=name: _import(name, 'not_there', f'pip-{name}'))
        monkeypatch.setitem(PRETRAIN_PEERS, name, missing)
    assert parse_args([]).peers == ['plain', 'transformers']
    out = capsys.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in out] == ['left out'] * 2 and 'pip install pip-lightly' in out[0]


def _import(*arguments):
    from mae_transfer.benchmarks.peers import import_package

    import_package(*arguments)
