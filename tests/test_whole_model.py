"""Whether a checkpoint of a whole model belongs to the model."""

import pytest
import torch
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.whole_model import check_whole_model, compare_bands, load_whole_model
from tests.helpers import enlarge, small_vit


class Model(nn.Module):
    def __init__(self, classes: int = 3, depth: int = 2):
        super().__init__()
        self.backbone = small_vit(depth=depth)
        self.head = nn.Linear(16, classes)


@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda state: dict(state_dict=state),
        lambda state: state,
        lambda state: dict(state_dict={f'module.{name}': value for name, value in state.items()}, meta=dict(epoch=3)),
    ],
)
def test_the_checkpoint_of_the_same_model_passes(wrap, complete):
    state = Model().state_dict()
    assert set(check_whole_model(Model(), wrap(state), 'file', complete)) == set(state)


def without(state: dict, *prefixes: str) -> dict:
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize(
    'state, words',
    [
        (lambda: {}, r'\d+ of \d+ tensors are not in it.*it has e.g. none'),
        (lambda: dict(other=torch.zeros(1)), 'it has e.g. other'),
        (lambda: dict(model=Model().state_dict()), 'are not in it'),
        (
            lambda: {
                name.removeprefix('backbone.'): value for name, value in without(Model().state_dict(), 'head').items()
            },
            'are not in it',
        ),
        (lambda: Model(depth=3).state_dict(), r'blocks\.2\..* has no place here'),
        (lambda: Model(depth=1).state_dict(), r'blocks\.1\..* \(it has'),
        (
            lambda: {name: torch.zeros(7) for name in Model().state_dict()},
            r'blocks\.0\.norm1\.weight is \(7,\) there and \(16,\) here',
        ),
    ],
)
def test_the_checkpoint_of_another_model_is_refused(state, words, complete):
    with pytest.raises(UserError, match=words) as caught:
        check_whole_model(Model(), state(), 'file', complete)
    assert str(caught.value).startswith('file is of another model') and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'state', [lambda: without(Model().state_dict(), 'head'), lambda: Model(classes=5).state_dict()]
)
def test_another_head_passes_only_where_the_checkpoint_need_not_be_complete(state):
    check_whole_model(Model(), state(), 'file', complete=False)
    with pytest.raises(UserError, match='head.weight'):
        check_whole_model(Model(), state(), 'file', complete=True)


def test_a_whole_model_is_loaded(tmp_path):
    source, target = enlarge(Model()), Model()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'model.pth')
    load_whole_model(target, str(tmp_path / 'model.pth'))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


# --- what training from weights may do, and going on with a model or testing it may not -------------------------------
@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize('trained', [True, False], ids=['by the config', 'by the sin-cos table'])
def test_positions_for_as_many_patches_in_another_grid_are_refused(complete, trained):
    source, model = Model(), Model()
    source.backbone = small_vit(depth=2, img_size=(8, 32))
    checkpoint = dict(state_dict=source.state_dict())
    if trained:
        enlarge(source)
        checkpoint['meta'] = dict(cfg='model = dict(backbone=dict(arch="16x2x2", img_size=(8, 32), patch_size=4))')
    words = 'its positions are for 2 x 8 patches .*, here for 4 x 4; use the image size that it was trained with'
    with pytest.raises(UserError, match=words):
        check_whole_model(model, checkpoint, 'file', complete)
    model.backbone = small_vit(depth=2, img_size=(8, 32))
    check_whole_model(model, checkpoint, 'file', complete)


@pytest.mark.parametrize('complete', [True, False])
def test_weights_for_other_channels_are_another_model(complete):
    model = Model()
    model.backbone = small_vit(depth=2, in_channels=4)
    own = 'set the bands that it was trained with, or, to train, ' if complete else ''
    advice = f'^file takes 3 image channels, the model 4: {own}start .* inflated, by --cfg-options pretrained=file$'
    with pytest.raises(UserError, match=advice):
        check_whole_model(model, dict(state_dict=Model().state_dict()), 'file', complete)


@pytest.mark.parametrize(
    'cfg, differences',
    [
        ('bands = [2, 1]', 'bands=(2, 1) (here (1, 2))'),
        ("bands = 'RGB'", 'bands=RGB (here (1, 2))'),
        ('bands = [1, 2]\nmean = [0, 0]\nstd = (1, 2.0)', 'mean=(0.0, 0.0) (here (5.0, 6.0))'),
        ('bands = [1, 2]\nmean = (5, 6)', ''),
        ("bands = '1,2'", ''),
        ("bands = '2,1'", 'bands=(2, 1) (here (1, 2))'),
        ('bands = 0', ''),
        ('', ''),
        ('not Python', ''),
    ],
)
def test_other_bands_of_as_many_channels_are_told(cfg, differences, told):
    compare_bands(dict(meta=dict(cfg=cfg)), 'file', dict(bands=[1, 2], mean=(5.0, 6.0), std=(1, 2)))
    line = f'file was trained with {differences}: the model now sees other values, unless the files differ '
    line += 'in the same way'
    assert told == ([line] if differences else [])


@pytest.fixture
def told(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.whole_model.print_log', lambda line, **settings: lines.append(line))
    return lines
