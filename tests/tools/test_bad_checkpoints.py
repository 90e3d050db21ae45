"""Checkpoints that a tool cannot use end it with one line, before training starts: it says what is wrong and what would
be right."""

from __future__ import annotations

import json
import os

import pytest
import torch

from tests.own_data import CLASSES, write_coco, write_scenes
from tests.tools.commands import CONFIG, REPOSITORY, call, error_line, run, small

COCO = REPOSITORY / 'configs' / 'coco_maskrcnn_vitb.py'
ADE = REPOSITORY / 'configs' / 'ade20k_upernet_vitb.py'


@pytest.fixture
def trained_file(trained):
    """A good checkpoint: width 32, two blocks."""
    return trained / 'epoch_1.pth'


class RunsCommand:
    """Would run a shell command when it is unpickled."""

    def __reduce__(self):
        return os.system, ('touch hacked',)


@pytest.fixture
def bad_files(trained_file, tmp_path):
    """A folder of the files that :data:`BAD_FILES` names."""
    (tmp_path / 'cut.pth').write_bytes(trained_file.read_bytes()[:-2000])
    (tmp_path / 'empty.pth').touch()
    torch.save(dict(state_dict=RunsCommand()), tmp_path / 'runs.pth')
    return tmp_path


def call_with(way, path, options):
    """Call a tool with a checkpoint. ``way``: a tool, an option of tools/train.py, or 'init_cfg'."""
    if way in ('test', 'reconstruct'):
        return call(way, CONFIG, path, *['out.png'] * (way == 'reconstruct'), *options)
    if way == 'init_cfg':
        return call('train', CONFIG, *options, f"model.vit.init_cfg={{'type':'Pretrained','checkpoint':'{path}'}}")
    return call('train', CONFIG, way, path, *options)


#: File, and the message about it.
BAD_FILES = [
    ('missing.pth', "no checkpoint file or work_dir '{path}'"),
    ('cut.pth', "'{path}' ({size} bytes) is cut short or is no checkpoint"),
    ('empty.pth', "'{path}' is empty (0 bytes): it was probably cut short"),
    ('runs.pth', "refused '{path}' ({size} bytes): reading it would run"),
]


@pytest.mark.parametrize(
    'name, says', BAD_FILES, ids=lambda value: value.split('.')[0] if value.endswith('.pth') else ''
)
@pytest.mark.parametrize('way', ['--load-from', 'test', 'init_cfg'])
def test_a_file_that_is_not_a_good_checkpoint(way, name, says, bad_files, photos, monkeypatch):
    monkeypatch.chdir(bad_files)
    path = bad_files / name
    ended = call_with(way, path, small(photos))
    assert says.format(path=path, size=path.stat().st_size if path.exists() else 0) in error_line(ended)
    assert not (bad_files / 'hacked').exists()


ANOTHER_SIZE = {'wider': '48x2x2', 'deeper': '32x3x2', 'shallower': '32x1x2'}


@pytest.mark.parametrize(
    'way, size',
    [
        *((way, size) for way in ('--load-from', 'test') for size in ANOTHER_SIZE),
        *((way, 'wider') for way in ('--resume', 'reconstruct', 'init_cfg')),
    ],
)
def test_a_checkpoint_of_another_size(way, size, trained_file, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call_with(way, trained_file, small(photos, model__vit__arch=ANOTHER_SIZE[size]))
    line = error_line(ended)
    if way == 'init_cfg':
        assert 'checkpoint is of embed_dim 32, depth 2; the model of' in line
        assert line.endswith('choose arch dict(embed_dim=32, depth=2, num_heads=...)')
    else:
        assert f'{trained_file} is of another model' in line and line.endswith(
            'use the config that it was trained with'
        )
        assert 'blocks.' in line


def test_a_checkpoint_of_another_kind_of_model(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={'conv1.weight': torch.zeros(1)}), tmp_path / 'resnet.pth')
    line = error_line(call('train', CONFIG, '--load-from', tmp_path / 'resnet.pth', *small(photos)))
    assert 'tensors are not in it' in line and 'it has e.g. conv1.weight' in line


@pytest.mark.parametrize('config', [COCO, ADE], ids=['detector', 'segmentor'])
def test_missing_pretrained_weights(config, tmp_path):
    line = error_line(
        call(
            'train',
            config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            f'data_root={fake_data(tmp_path)}',
            'pretrained=no/such.pth',
        )
    )
    assert line == (
        "error: pretrained: no checkpoint file or work_dir 'no/such.pth': pre-train first, or choose --cfg-options "
        'pretrained=FILE, or none for random weights'
    )


@pytest.mark.parametrize(
    'config, write, classes',
    [(COCO, write_coco, CLASSES), (ADE, write_scenes, ('road', 'field'))],
    ids=['detector', 'segmentor'],
)
def test_pretrained_weights_of_another_size(config, write, classes, tmp_path, trained_file):
    deeper = [
        "model.backbone.arch={'embed_dim':32,'depth':4,'num_heads':2}",
        'model.backbone.out_indices=(0,1,2,3)',
        'model.neck.embed_dim=32',
    ]
    line = error_line(
        call(
            'train',
            config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            f'data_root={write(tmp_path / "data")}',
            f'classes={",".join(classes)}',
            f'pretrained={trained_file}',
            'train_dataloader.batch_size=2',
            *deeper,
        )
    )
    assert 'checkpoint is of embed_dim 32, depth 2; the model of 32, depth 4: choose arch' in line


def fake_data(folder):
    """A folder in the layouts of COCO and of ADE20K, with empty image files."""
    for path in (
        'train2017',
        'val2017',
        'images/training',
        'images/validation',
        'annotations/training',
        'annotations/validation',
    ):
        (folder / 'data' / path).mkdir(parents=True)
        (folder / 'data' / path / '1.jpg').touch()
    for split in ('train', 'val'):
        (folder / 'data' / 'annotations' / f'instances_{split}2017.json').write_text(
            json.dumps(
                dict(
                    images=[dict(id=1, file_name='1.jpg', height=64, width=64)],
                    categories=[dict(id=1, name='person')],
                    annotations=[dict(id=1, image_id=1, category_id=1, bbox=[8, 8, 40, 40], area=1600, iscrowd=0)],
                )
            )
        )
    return folder / 'data'


@pytest.mark.slow
def test_a_refused_checkpoint_ends_all_processes(trained_file, photos, tmp_path):
    ended = run(
        'dist_train.sh',
        CONFIG,
        2,
        '--work-dir',
        tmp_path,
        '--load-from',
        trained_file,
        *small(photos, 4, model__vit__arch=ANOTHER_SIZE['wider']),
    )
    assert ended.code != 0 and f'error: {trained_file} is of another model' in ended.err
