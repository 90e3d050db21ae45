"""Unreadable photos are named when they are skipped, and counted at the end."""

import re

import pytest

from mae_transfer.hooks import SkippedPhotosHook, skipped_photos
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    for part in ('train', 'val'):
        photo_folder(folder / part, 4)
    for name in ('train/photo1.png', 'train/photo2.png', 'val/photo3.png'):
        (folder / name).write_text('no photo')
    return folder


def warnings(work_dir) -> list[str]:
    """The warnings about photos in the log of a run."""
    [log] = work_dir.glob('*/*.log')
    return re.findall(r'WARNING - (.*photo.*)', log.read_text())


def runner(photos, work_dir, **changes) -> StrictRunner:
    return StrictRunner.from_cfg(pretraining(photos, work_dir, dict(type='SkippedPhotosHook'), **changes))


def test_each_is_named_once_and_all_are_counted_at_the_end_of_training(photos, tmp_path):
    runner(photos, tmp_path).train()
    found = warnings(tmp_path)
    assert sorted(found[:-1]) == [f'unreadable photo skipped: photo{i}.png' for i in (1, 2, 3)]
    assert found[-1] == '3 unreadable photos were skipped: photo1.png, photo2.png, photo3.png'


def test_testing_reports_too(photos, tmp_path):
    cfg = pretraining(photos, tmp_path, dict(type='SkippedPhotosHook'))
    cfg.merge_from_dict(dict(test_dataloader=cfg.val_dataloader, test_evaluator=cfg.val_evaluator, test_cfg=dict()))
    StrictRunner.from_cfg(cfg).test()
    assert warnings(tmp_path) == [
        'unreadable photo skipped: photo3.png',
        '1 unreadable photos were skipped: photo3.png',
    ]


def test_nothing_is_logged_if_nothing_was_skipped(tmp_path):
    runner(photo_folder(tmp_path / 'photos'), tmp_path / 'run').train()
    assert warnings(tmp_path / 'run') == []


class Messages:
    """Stands in for a runner and its logger; keeps the warnings."""

    def __init__(self):
        self.logger, self.found = self, []

    def warning(self, message: str) -> None:
        self.found.append(message)


def test_the_report_covers_all_processes(monkeypatch):
    monkeypatch.setattr(skipped_photos, 'all_gather_object', lambda skipped: [skipped, {'b.jpg', 'a.jpg'}])
    hook, messages = SkippedPhotosHook(), Messages()
    hook.after_train_iter(messages, 0, dict(skipped=['c.jpg', 'b.jpg']))
    hook.after_train(messages)
    assert messages.found[-1] == '3 unreadable photos were skipped: a.jpg, b.jpg, c.jpg'


def test_a_long_list_of_names_is_cut():
    hook, messages = SkippedPhotosHook(), Messages()
    hook.after_train_iter(messages, 0, dict(skipped=[f'{i:02d}.jpg' for i in range(25)]))
    hook.after_train(messages)
    assert messages.found[-1].startswith('25 unreadable') and messages.found[-1].endswith('18.jpg, 19.jpg and 5 more')


def test_batches_without_skipped_photos_are_ignored():
    hook, messages = SkippedPhotosHook(), Messages()
    hook.after_train_iter(messages, 0, dict(inputs=1))
    hook.after_train_iter(messages, 0, None)
    hook.after_train(messages)
    assert not messages.found
