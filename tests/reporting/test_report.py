"""One HTML file of runs: what it holds, what it loads, how large it is."""

from __future__ import annotations

import json
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import mae_transfer
from mae_transfer.errors import UserError
from mae_transfer.reporting import report as module
from mae_transfer.reporting.run_files import advice_of
from mae_transfer.reporting.sections import Picture, Plot, Section, Table
from tests.reporting.pages import Parsed
from tests.reporting.runs import line, write_classifier, write_pictures, write_session
from tests.tools.commands import CONFIG, small, train, write_photos


@pytest.fixture(scope='module')
def resumed(tmp_path_factory):
    """The work_dir of a pre-training of two epochs, of which the second was trained after a stop."""
    folder = tmp_path_factory.mktemp('resumed')
    photos, work_dir = write_photos(folder / 'photos', 32), folder / 'mae'
    every = dict(train_cfg__val_interval=1, default_hooks__reconstructions__interval=1)
    train(CONFIG, '--work-dir', work_dir, *small(photos, epochs=1, **every))
    time.sleep(1)  # a session's folder has its name by the second
    train(CONFIG, '--work-dir', work_dir, '--resume', 'auto', *small(photos, epochs=2, **every))
    return work_dir


@pytest.fixture(scope='module')
def page(resumed, tmp_path_factory):
    """Its report."""
    out = tmp_path_factory.mktemp('pages') / 'report.html'
    return Parsed(mae_transfer.report(resumed, out)), out


def check(page: Parsed, path) -> None:
    """What holds for every report."""
    assert not page.unclosed and path.stat().st_size < module.MOST
    assert all(re.match(r'data:', address) for address in page.loaded), page.loaded
    assert not re.search(r'url\(|@import|fetch\(|XMLHttpRequest', page.source)
    anchors = {attributes['id'] for _, attributes in page.tags if 'id' in attributes}
    links = [attributes['href'] for attributes in page.named('a')]
    assert links and all(link[1:] in anchors for link in links if link.startswith('#'))


def test_a_resumed_pretraining(page, resumed):
    parsed, path = page
    check(parsed, path)
    for text in (
        'mae: pre-training',
        'Held-out loss',
        'completed; epoch 2 of 2',
        'in 2 sessions, by the log',
        'went on before iteration',
        'mae_transfer::mae_pretrain_vitl.py',
        'Published for mae_pretrain_vitl.py, not measured here: 85.9 top-1',
        *(advised for advised, _ in advice_of(resumed)),
        'commit of mae_transfer: ',
    ):
        assert text in parsed.text, text
    drawings = [one for one in parsed.named('svg') if 'data-box' in one]
    assert {one['aria-label'].partition(' over')[0] for one in drawings} >= {
        'loss',
        'learning/rank_me',
        'learning rate',
        'gradient norm',
        'GB',
    }
    assert [one['alt'] for one in parsed.named('img')] == ['epoch 1', 'epoch 2']
    assert len([*resumed.glob('reconstructions/*.png')]) == 3  # the last is that of the last epoch


def test_the_curve_of_a_resumed_run_has_each_line_once(page, resumed):
    lines = [
        json.loads(one)
        for file in sorted(resumed.glob('*/vis_data/scalars.json'))
        for one in file.read_text().splitlines()
    ]
    logged = sorted({one['iter'] for one in lines if 'iter' in one})
    assert len(logged) == 2 * max(one['iter'] for one in lines if one.get('epoch') == 1)
    loss = next(group for group in re.findall(r'<g data-name="training".*?</g>', page[0].source))
    assert len(re.search(r'points="([^"]+)"', loss)[1].split()) == len(logged)


def test_several_runs_are_compared_at_the_top(tmp_path):
    for seed in range(2):
        write_classifier(tmp_path / 'runs' / f'mae_{seed}', 60.0 + seed, seed, 'mae')
        write_classifier(tmp_path / 'runs' / f'random_{seed}', 50.0 + seed, seed)
    result = mae_transfer.report(tmp_path / 'runs', tmp_path / 'report.html')
    parsed = Parsed(result.path)
    check(parsed, result.path)
    assert result.runs == 4 and str(result).startswith(f'4 runs: {tmp_path}/report.html, 0.')
    top = parsed.text[: parsed.text.index('runs compared')]
    assert 'best top-1 60.5 ± 0.7 starting from mae; the other 50.5 ± 0.7 starting from random weights' in top


def test_names_from_files_are_text_and_no_tags(tmp_path):
    run = write_classifier(tmp_path / '<b>run', command=['train.py', '<script>alert(1)</script>'])
    parsed = Parsed(mae_transfer.report(run, tmp_path / 'report.html').path)
    check(parsed, tmp_path / 'report.html')
    assert '<b>run' in parsed.text and '<script>alert(1)</script>' in parsed.text
    assert len(parsed.named('script')) == 1 and not parsed.named('b')


def test_a_folder_of_runs_has_its_table_and_pictures(tmp_path):
    write_classifier(tmp_path / 'quick' / 'a')
    (tmp_path / 'quick' / 'table.md').write_text(
        '| start | AP |\n|---|---|\n| MAE | **15.1** |\n\nSeed 0.\nTwo minutes.\n'
    )
    write_pictures(tmp_path / 'quick', 'detection_mae.png', 'z.png')
    parsed = Parsed(mae_transfer.report(tmp_path / 'quick', tmp_path / 'report.html', pictures=1).path)
    check(parsed, tmp_path / 'report.html')
    assert 'Seed 0. Two minutes.' in parsed.text and '15.1' in parsed.text and '**' not in parsed.text
    assert [one['alt'] for one in parsed.named('img')] == ['detection mae']


def test_pictures_that_do_not_fit_are_left_out_and_told(tmp_path, monkeypatch):
    run = write_classifier(tmp_path / 'run')
    write_pictures(run / 'reconstructions', *(f'epoch_{i}.png' for i in range(4)), size=(150, 300))
    out = tmp_path / 'report.html'
    whole = mae_transfer.report(run, out)
    assert not whole.left_out and whole.size == out.stat().st_size
    monkeypatch.setattr(module, 'MOST', whole.size // 2)
    small_one = mae_transfer.report(run, out)
    parsed = Parsed(out)
    check(parsed, out)
    assert 0 < len(parsed.named('img')) < 4 and small_one.left_out[0] in parsed.text
    assert re.fullmatch(r'[123] of 4 pictures are left out, to stay below 5 MB\.', small_one.left_out[0])
    monkeypatch.setattr(module, 'MOST', 5000)
    with pytest.raises(UserError, match='a report of 1 runs would have .* MB: give fewer runs'):
        mae_transfer.report(run, out)


def test_lines_have_fewer_points_where_there_are_many(tmp_path, monkeypatch):
    lines = [line(i, 1 / i, 1000) for i in range(1, 2000)]
    write_session(tmp_path / 'run', '20260131_120000', lines)
    out = tmp_path / 'report.html'
    many = mae_transfer.report(tmp_path / 'run', out).size
    monkeypatch.setattr(module, '_WITHOUT_PICTURES', many - 1000)
    assert mae_transfer.report(tmp_path / 'run', out).size < many - 1000


def test_evaluations_are_shown_under_their_run(tmp_path, monkeypatch):
    calls = []

    def evaluated_sections(run, pictures, device):
        calls.append((run, pictures, device))
        svg = '<svg class="plot"><text>drawn</text></svg>'
        parts = (
            Table(('class', 'AP'), (('dog', 0.25), ('cat', None))),
            Picture(np.zeros((8, 8, 3), np.uint8), 'worst'),
            Plot(svg, 'a curve'),
            Picture(np.zeros((8, 8, 3), np.uint8), 'second'),
        )
        return [Section('Classes', 'Each class.', parts)]

    stand_in = SimpleNamespace(evaluated_sections=evaluated_sections)
    monkeypatch.setitem(sys.modules, 'mae_transfer.reporting.evaluated', stand_in)
    run = write_classifier(tmp_path / 'run')
    (run / 'epoch_1.pth').touch()
    mae_transfer.report([run, run / 'epoch_1.pth'], tmp_path / 'report.html', evaluate=True, pictures=3, device='cpu')
    assert calls == [(run, 3, 'cpu'), (run / 'epoch_1.pth', 3, 'cpu')]
    parsed = Parsed(tmp_path / 'report.html')
    check(parsed, tmp_path / 'report.html')
    assert [one['alt'] for one in parsed.named('img')] == ['worst', 'second'] * 2
    places = [parsed.source.index(word) for word in ('Each class.', 'dog', 'alt="worst"', 'a curve', 'alt="second"')]
    assert places == sorted(places) and '–' in parsed.text
    assert mae_transfer.report(run, tmp_path / 'report.html') and len(calls) == 2


@pytest.mark.parametrize(
    'change, line',
    [
        (dict(out='report.pdf'), "out: a report is a file .html; found 'report.pdf'"),
        (dict(runs=[]), 'a report needs a run'),
        (dict(pictures=-1), 'pictures is a number, 0 or more; found -1'),
        (dict(runs='nothing'), "there is no run 'nothing'"),
    ],
)
def test_a_mistake_is_one_line(change, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_classifier(tmp_path / 'run')
    settings = dict(dict(runs='run', out='report.html'), **change)
    with pytest.raises(UserError) as error:
        mae_transfer.report(settings.pop('runs'), settings.pop('out'), **settings)
    assert line in str(error.value) and '\n' not in str(error.value) and not (tmp_path / 'report.html').exists()


def test_a_picture_that_cannot_be_read_is_one_line(tmp_path):
    run = write_classifier(tmp_path / 'run')
    write_pictures(run / 'reconstructions', 'epoch_1.png')
    (run / 'reconstructions' / 'epoch_1.png').write_bytes(b'no picture')
    with pytest.raises(UserError, match='epoch_1.png cannot be read .* remove it to report the run without it'):
        mae_transfer.report(run, tmp_path / 'report.html')
