"""docs/extending.md: its files, written outside of the package, train by its commands."""

from __future__ import annotations

import shlex
import sys
import zipfile
from unittest import mock

import pytest

from mae_transfer.registry import DATASETS, MODELS
from tests.docs.documents import REPOSITORY, commands, files
from tests.own_data import write_scenes
from tests.tools.commands import call, write_photos

DOCUMENT = REPOSITORY / 'docs' / 'extending.md'
COMMANDS = [command.line for command in commands(DOCUMENT) if 'path/to' not in command.line]
#: Less of everything but of the part itself.
SMALL = {
    'pretraining': ['image_size=64', 'max_epochs=1', 'warmup=.5', 'total_batch_size=4', 'train_dataloader.batch_size=4']
    + ['train_dataloader.num_workers=0'],
    'segmentation': ['crop_size=64', 'max_iters=3', 'warmup=2', 'train_dataloader.num_workers=0'],
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder of a user's own, outside of the checkout: the document's files, and data as its commands name it."""
    folder = tmp_path_factory.mktemp('outside')
    for name, text in files(DOCUMENT).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    photos = write_photos(folder / 'photos', 12)
    with zipfile.ZipFile(folder / 'photos.zip', 'w') as archive:
        for photo in photos.iterdir():
            archive.write(photo, photo.name)
    write_scenes(folder / 'scenes')
    with mock.patch.object(sys, 'path', [str(folder), *sys.path]):
        yield folder
    for registry in (MODELS, DATASETS):
        for name, part in [*registry.module_dict.items()]:
            if part.__module__.partition('.')[0] == 'mine':
                registry.module_dict.pop(name)
    for name in [name for name in sys.modules if name.partition('.')[0] == 'mine']:
        del sys.modules[name]


def test_the_document_shows_a_part_of_each_kind():
    assert {name for name in files(DOCUMENT) if '/' in name} == {
        f'mine/{name}.py' for name in ('stripes', 'blurred', 'linear_head', 'zipped')
    }
    assert len(COMMANDS) == 7 and all(
        any(name in line for line in COMMANDS) for name in files(DOCUMENT) if '/' not in name
    )


@pytest.mark.parametrize('line', COMMANDS)
def test_a_part_from_outside_works_by_the_command_shown(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    tool, *arguments = shlex.split(line.removeprefix('PYTHONPATH=. '))
    size = SMALL['segmentation' if 'segmentor' in line else 'pretraining']
    ended = call(tool.removeprefix('tools/').removesuffix('.py'), *arguments, '--verbose', '--cfg-options', *size)
    assert ended.code == 0, ended.err
    if 'reconstruct' in line:
        assert (folder / 'out.png').stat().st_size > 0
    else:
        assert 'Saving checkpoint' in ended.out
