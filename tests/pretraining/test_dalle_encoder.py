"""The encoder of DALL-E: published names, shapes and arithmetic; the files that it is loaded from."""

from __future__ import annotations

import sys
import types
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from mae_transfer.errors import UserError
from mae_transfer.pretraining import DALLEEncoder
from mae_transfer.registry import MODELS
from tests.vit.weights.test_checkpoint_files import Calls

SMALL = dict(hidden=8, group_blocks=1, vocab_size=20)


def published() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published encoder's parameters (openai/DALL-E, dall_e/encoder.py, with its defaults)."""
    shapes = {'blocks.input': (256, 3, 7)}
    for group, (before, after) in enumerate([(256, 256), (256, 512), (512, 1024), (1024, 2048)], start=1):
        for block in (1, 2):
            inputs, name = (before if block == 1 else after), f'blocks.group_{group}.block_{block}'
            if inputs != after:
                shapes[f'{name}.id_path'] = (after, inputs, 1)
            shapes[f'{name}.res_path.conv_1'] = (after // 4, inputs, 3)
            shapes[f'{name}.res_path.conv_2'] = shapes[f'{name}.res_path.conv_3'] = (after // 4, after // 4, 3)
            shapes[f'{name}.res_path.conv_4'] = (after, after // 4, 1)
    shapes['blocks.output.conv'] = (8192, 2048, 1)
    return {
        f'{name}.{leaf}': (*shape, shape[-1]) if leaf == 'w' else shape[:1]
        for name, shape in shapes.items()
        for leaf in 'wb'
    }


def test_names_and_shapes_are_the_published_ones():
    with torch.device('meta'):
        found = DALLEEncoder().state_dict()
    assert {name: tuple(value.shape) for name, value in found.items()} == published()
    assert len(found) == 74 and sum(value.numel() for value in found.values()) == 53_786_240


def test_its_flops_are_those_of_the_paper():
    """MAE section 4.1: "40% FLOPs of ViT-L". At 112 pixels it has 14 x 14 tokens, one for each patch of the ViT."""
    with torch.device('meta'):
        encoder, vit = DALLEEncoder(), MODELS.build(dict(type='ViT', arch='large')).to('meta')
        counts = []
        for forward, side in ((encoder.logits, 112), (vit, 224)):
            with FlopCounterMode(display=False) as counter:
                forward(torch.empty(1, 3, side, side))
            counts.append(counter.get_total_flops())
    assert round(counts[0] / counts[1], 1) == 0.4


@pytest.mark.parametrize('size', [(16, 16), (8, 40), (112, 56)])
def test_a_token_stands_for_eight_by_eight_pixels(size):
    encoder = DALLEEncoder(**SMALL)
    images = torch.rand(2, 3, *size)
    logits = encoder.logits(images)
    assert logits.shape == (2, 20, size[0] // 8, size[1] // 8)
    assert torch.equal(encoder.tokens(images), logits.argmax(dim=1))


def test_the_arithmetic_is_the_published_one():
    """Compared with a second implementation that uses the parameters alone."""
    encoder = DALLEEncoder(hidden=8, group_blocks=2, vocab_size=20).double()
    p = {name.removeprefix('blocks.'): value for name, value in encoder.state_dict().items()}
    for name in p:
        p[name].add_(torch.randn(p[name].shape, generator=torch.Generator().manual_seed(len(name))) * 0.1)

    def conv(x, name):
        return F.conv2d(x, p[f'{name}.w'], p[f'{name}.b'], padding=p[f'{name}.w'].shape[-1] // 2)

    images = torch.rand(2, 3, 16, 24).double()
    x = conv(0.8 * images + 0.1, 'input')
    for group in (1, 2, 3, 4):
        for block in (1, 2):
            name, residual = f'group_{group}.block_{block}', x
            for i in (1, 2, 3, 4):
                residual = conv(F.relu(residual), f'{name}.res_path.conv_{i}')
            x = (conv(x, f'{name}.id_path') if f'{name}.id_path.w' in p else x) + residual / 64
        x = F.max_pool2d(x, 2) if group < 4 else x
    assert_close(encoder.logits(images), conv(F.relu(x), 'output.conv'))


def test_weights_come_from_files_of_tensors(tmp_path):
    source, images = DALLEEncoder(**SMALL), torch.rand(1, 3, 16, 16)
    torch.save(source.state_dict(), tmp_path / 'encoder.pth')
    save_file(source.state_dict(), tmp_path / 'encoder.safetensors')
    for name in ('encoder.pth', 'encoder.safetensors'):
        encoder = DALLEEncoder(**SMALL)
        assert not torch.equal(encoder.logits(images), source.logits(images))
        encoder.load(tmp_path / name)
        assert torch.equal(encoder.logits(images), source.logits(images))


@pytest.mark.parametrize(
    'change, words',
    [
        (
            lambda state: state.pop('blocks.output.conv.w'),
            '1 of its 42 tensors are missing, e.g. blocks.output.conv.w, 0 in the file are unknown: ',
        ),
        (
            lambda state: state.update(more=torch.zeros(1)),
            '0 of its 42 tensors are missing, 1 in the file are unknown, e.g. more: ',
        ),
        (
            lambda state: state.update({'blocks.input.w': torch.zeros(16, 3, 7, 7)}),
            r'blocks.input.w is \(16, 3, 7, 7\) in the file and \(8, 3, 7, 7\) in the model',
        ),
        (lambda state: state['blocks.input.b'].fill_(torch.nan), "'blocks.input.b' holds values that are not finite"),
    ],
    ids=['missing', 'unknown', 'reshaped', 'not finite'],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path, change, words):
    state = DALLEEncoder(**SMALL).state_dict()
    change(state)
    torch.save(state, tmp_path / 'encoder.pth')
    with pytest.raises(UserError, match=words) as caught:
        DALLEEncoder(**SMALL).load(tmp_path / 'encoder.pth')
    assert '\n' not in str(caught.value)


def test_its_tokens_cannot_be_turned_into_pixels():
    encoder = DALLEEncoder(**SMALL)
    assert not encoder.invertible
    with pytest.raises(UserError, match='cannot be turned into pixels'):
        encoder.decode(torch.zeros(1, 2, 2, dtype=torch.int64))


class Ran(Exception):
    """Raised if a pickle runs code."""


@pytest.fixture
def pickled_class(monkeypatch):
    """A module class that is called ``dall_e.encoder.Encoder``, as in the published file, and that refuses to be
    unpickled."""
    package, module = types.ModuleType('dall_e'), types.ModuleType('dall_e.encoder')

    def refuse(self, *args):
        raise Ran

    module.Encoder = type('Encoder', (nn.Module,), dict(__module__='dall_e.encoder', __setstate__=refuse))
    monkeypatch.setitem(sys.modules, 'dall_e', package)
    monkeypatch.setitem(sys.modules, 'dall_e.encoder', module)
    return module.Encoder


def as_published(encoder: DALLEEncoder, kind: type) -> nn.Module:
    """The same parameters in a tree of modules, with activations, as in the published pickle."""

    def tree(module: nn.Module) -> nn.Module:
        children = [(name, tree(child)) for name, child in module.named_children()]
        node = nn.Sequential(
            OrderedDict([*children, ('relu', nn.ReLU()), ('pool', nn.MaxPool2d(2)), ('same', nn.Identity())])
        )
        for name, parameter in module.named_parameters(recurse=False):
            node.register_parameter(name, parameter)
        return node

    whole = kind()
    whole.blocks = tree(encoder.blocks)
    whole.device, whole.n_hid = torch.device('cpu'), 8
    return whole


def test_the_published_pickle_is_read_as_data(tmp_path, pickled_class):
    source, encoder = DALLEEncoder(**SMALL), DALLEEncoder(**SMALL)
    torch.save(as_published(source, pickled_class), tmp_path / 'encoder.pkl')
    with pytest.raises(Ran):
        torch.load(tmp_path / 'encoder.pkl', weights_only=False)
    encoder.load(tmp_path / 'encoder.pkl')
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in source.state_dict().items())


def test_a_pickle_that_calls_a_function_is_refused(tmp_path, pickled_class):
    whole = as_published(DALLEEncoder(**SMALL), pickled_class)
    whole.extra = Calls(open, str(tmp_path / 'marker'), 'w')
    torch.save(whole, tmp_path / 'encoder.pkl')
    with pytest.raises(UserError, match='refused .* reading it would run ') as caught:
        DALLEEncoder(**SMALL).load(tmp_path / 'encoder.pkl')
    assert '\n' not in str(caught.value) and not (tmp_path / 'marker').exists()
