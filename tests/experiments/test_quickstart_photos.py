"""The quickstart on the photos inside of scikit-image's package."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.experiments import quickstart_photos
from mae_transfer.experiments.quickstart_photos import (
    HELD_OUT,
    TRAINED,
    photo_folder,
    photo_report,
    photo_stages,
    write_photos,
)
from mae_transfer.experiments.steps import Pipeline
from mae_transfer.experiments.tool_runs import TOOLS
from mae_transfer.settings import read_config
from tests.tools.commands import REPOSITORY

needs_photos = pytest.mark.skipif(find_spec('skimage') is None, reason='needs scikit-image, of the extra photos')


def test_without_scikit_image_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(quickstart_photos, 'find_spec', lambda name: None)
    with pytest.raises(UserError) as error:
        photo_folder()
    line = f'which is not installed: {sys.executable} -m pip install scikit-image'
    assert str(error.value).endswith(line) and '\n' not in str(error.value)


@needs_photos
def test_a_version_without_a_photo_is_told_with_one_that_has_them(monkeypatch, tmp_path):
    (tmp_path / 'data').mkdir()
    for name in (*TRAINED, *HELD_OUT[1:]):
        (tmp_path / 'data' / name).touch()
    spec = ModuleSpec('skimage', None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(quickstart_photos, 'find_spec', lambda name: spec)
    with pytest.raises(UserError) as error:
        photo_folder()
    found = f'scikit-image {version("scikit-image")} has no {HELD_OUT[0]} inside: '
    assert str(error.value) == f'{found}{sys.executable} -m pip install scikit-image==0.26.0'


@needs_photos
def test_photos_are_copied_without_importing_scikit_image(tmp_path):
    code = (
        'import sys\nfrom pathlib import Path\n'
        'from mae_transfer.experiments.quickstart_photos import photo_folder, write_photos\n'
        f'write_photos(photo_folder(), Path({str(tmp_path)!r}))\n'
        'print(sorted({"skimage", "pooch", "torch"} & set(sys.modules)))'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env={'PYTHONPATH': str(REPOSITORY)}
    )
    assert ended.stdout == '[]\n', ended.stderr
    for split, names in (('train', TRAINED), ('val', HELD_OUT)):
        assert {path.stem for path in (tmp_path / split).iterdir()} == {Path(name).stem for name in names}
    with Image.open(tmp_path / 'val' / 'chelsea.jpg') as photo:
        assert photo.mode == 'RGB' and photo.size == (451, 300)
    assert not set(TRAINED) & set(HELD_OUT)


def test_every_command_has_its_files_and_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(TOOLS.parent)
    train, draw = (stage.steps[0] for stage in photo_stages(tmp_path, 7))
    for step in (train, draw):
        assert Path(step.command[0]).is_file()
        cfg = read_config(step.command[1], step.command[step.command.index('--cfg-options') + 1 :])
        assert cfg.data_root == f'{tmp_path}/photos'
    cfg = read_config(train.command[1], train.command[train.command.index('--cfg-options') + 1 :])
    assert cfg.randomness.seed == 7 and cfg.train_cfg.max_epochs == train.epochs
    assert str(train.pictures) == f'{tmp_path}/mae/reconstructions'


def test_the_quickstart_refuses_options_of_the_other_one(tmp_path):
    script = REPOSITORY / 'tools' / 'quickstart.py'
    words = ('--photos', '--pretrain-only-here', '--work-dir', str(tmp_path / 'new'))
    ended = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, '') and not (tmp_path / 'new').exists()
    assert ended.stderr == (
        'error: --pretrain-only-here is of the quickstart on scenes: leave it out, or leave --photos out\n'
    )


@needs_photos
@pytest.mark.slow
def test_pictures_come_and_the_report_names_them(tmp_path, capsys):
    write_photos(photo_folder(), tmp_path / 'photos')
    stages = photo_stages(tmp_path, 0)
    small = ['max_epochs=2', 'warmup=.5', 'repeat=3', 'image_size=32', 'model.vit.arch=32x2x2']
    for stage in stages:
        stage.steps[0].command += small
    stages[0].steps[0].epochs = 2
    Pipeline(stages, tmp_path / 'logs').run()
    names = [path.name for path in stages[0].steps[0].drawn]
    assert names == ['epoch_1.png', 'epoch_2.png', 'last.png']
    report = photo_report(tmp_path, stages, 1.25)
    first = next(iter(stages[0].steps[0].drawn.values()))
    assert f'First reconstruction, {first:.0f} s after the start: {tmp_path}/mae/reconstructions/epoch_1.png' in report
    assert '1.2 minutes.' in report and Path(f'{tmp_path}/reconstructions.png').is_file()
