"""Unreadable images are named when they are skipped, and counted at the end."""

import re
from types import SimpleNamespace

import pytest

from mae_transfer.errors import UserError
from mae_transfer.hooks import SkippedImagesHook, skipped_images
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
    """The warnings about images in the log of a run."""
    [log] = work_dir.glob('*/*.log')
    return re.findall(r'WARNING - (.*unreadable.*)', log.read_text())


def runner(photos, work_dir, max_bad_share=1) -> StrictRunner:
    hook = dict(type='SkippedImagesHook', max_bad_share=max_bad_share)
    return StrictRunner.from_cfg(pretraining(photos, work_dir, hook))


def test_each_is_named_once_and_all_are_counted_at_the_end_of_training(photos, tmp_path):
    runner(photos, tmp_path).train()
    found = warnings(tmp_path)
    assert sorted(found[:-1]) == [f'unreadable image skipped: photo{i}.png' for i in (1, 2, 3)]
    assert found[-1] == '3 unreadable images were skipped: photo1.png, photo2.png, photo3.png'


def test_testing_reports_too(photos, tmp_path):
    cfg = pretraining(photos, tmp_path, dict(type='SkippedImagesHook'))
    cfg.merge_from_dict(dict(test_dataloader=cfg.val_dataloader, test_evaluator=cfg.val_evaluator, test_cfg=dict()))
    StrictRunner.from_cfg(cfg).test()
    assert warnings(tmp_path) == [
        'unreadable image skipped: photo3.png',
        '1 unreadable images were skipped: photo3.png',
    ]


def test_nothing_is_logged_if_nothing_was_skipped(tmp_path):
    runner(photo_folder(tmp_path / 'photos'), tmp_path / 'run').train()
    assert warnings(tmp_path / 'run') == []


class Run(SimpleNamespace):
    """Stands in for a runner and its logger; keeps the warnings."""

    def __init__(self, work_dir, images=1000):
        loader = SimpleNamespace(batch_size=10, dataset=range(images))
        super().__init__(work_dir=str(work_dir), logger=self, found=[], train_dataloader=loader)

    def warning(self, message: str) -> None:
        self.found.append(message)

    error = warning


def test_the_report_covers_all_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(skipped_images, 'all_gather_object', lambda skipped: [skipped, {'b.jpg', 'a.jpg'}])
    hook, run = SkippedImagesHook(), Run(tmp_path)
    hook.after_train_iter(run, 0, dict(skipped=['c.jpg', 'b.jpg']))
    hook.after_train(run)
    assert run.found[-1] == '3 unreadable images were skipped: a.jpg, b.jpg, c.jpg'


def test_a_long_list_of_names_is_cut_but_in_the_file(tmp_path):
    names = [f'{i:02d}.jpg (is empty)' for i in range(25)]
    hook, run = SkippedImagesHook(), Run(tmp_path)
    hook.after_train_iter(run, 0, dict(skipped=names))
    hook.after_train_iter(run, 0, dict(skipped=names[:3]))
    hook.after_train(run)
    assert run.found[-1].startswith('25 unreadable') and run.found[-1].endswith('19.jpg (is empty) and 5 more')
    assert (tmp_path / 'skipped_images.txt').read_text().splitlines() == names


def test_batches_without_skipped_images_are_ignored(tmp_path):
    hook, run = SkippedImagesHook(0), Run(tmp_path)
    for batch in (dict(inputs=1), None, dict(data_samples=None)):
        hook.after_train_iter(run, 0, batch)
    hook.after_train(run)
    assert not run.found and not list(tmp_path.iterdir())


@pytest.mark.parametrize('images, batches', [(1000, 19), (30, 3)])
def test_too_many_end_the_run_as_soon_as_there_is_enough_to_judge(images, batches, tmp_path):
    """One in eleven is drawn in vain: judged after 200 images, or when all were drawn."""
    hook, run = SkippedImagesHook(0.09), Run(tmp_path, images)
    says = f'{batches} of {min(11 * batches, images)} images cannot be read, more than max_bad_share=0.09'
    with pytest.raises(UserError, match=says):
        for batch in range(1000):
            hook.after_train_iter(run, batch, dict(skipped=[f'{batch}.jpg']))
    assert batch == batches - 1


def test_an_image_that_is_drawn_again_counts_once(tmp_path):
    hook, run = SkippedImagesHook(0.09), Run(tmp_path, 24)
    for batch in range(1000):
        hook.after_train_iter(run, batch, dict(skipped=['a.jpg', 'b.jpg']))
    assert hook.skipped == {'a.jpg', 'b.jpg'} and len(run.found) == 2


def test_a_run_with_too_many_ends(photos, tmp_path):
    with pytest.raises(UserError, match=rf'more than max_bad_share=0.3: .*{tmp_path}/skipped_images.txt'):
        runner(photos, tmp_path, 0.3).train()


@pytest.mark.parametrize('share', [-0.1, 1.1, True, '.1', None])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(UserError, match='max_bad_share is a share, from 0 to 1; found'):
        SkippedImagesHook(share)


def test_a_list_that_cannot_be_written_is_told(tmp_path):
    run = Run(tmp_path / 'missing')
    SkippedImagesHook().after_train_iter(run, 0, dict(skipped=['a.jpg']))
    assert run.found[-1].endswith('skipped_images.txt is not complete: No such file or directory')


def test_a_run_that_begins_anew_begins_the_list_anew(photos, tmp_path):
    (tmp_path / 'skipped_images.txt').write_text('old.jpg\n')
    runner(photos, tmp_path).train()
    found = (tmp_path / 'skipped_images.txt').read_text()
    assert 'old' not in found and sorted(found.split()) == ['photo1.png', 'photo2.png', 'photo3.png']
