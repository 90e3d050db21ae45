"""pretrain, finetune and test on tiny data, in one process."""

import gc
import json
import multiprocessing
import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer

import mae_transfer
from mae_transfer.api.results import TestResult, TrainingResult
from mae_transfer.errors import UserError
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.helpers import photo_folder, save_photo
from tests.own_data import photo, write_coco, write_scenes

NO_WORKERS = {f'{loader}_dataloader__num_workers': 0 for loader in ('train', 'val', 'test')}
ARCH = '32x4x2'
DECODER = {'model.decoder.embed_dim': 16, 'model.decoder.depth': 1, 'model.decoder.num_heads': 2}
DETECTOR = dict(
    image_size=64,
    max_epochs=2,
    model__backbone__window_size=0,
    model__backbone__rel_pos=None,
    model__neck__out_channels=256,
    model__roi_head__bbox_head__fc_out_channels=32,
    model__test_cfg__rpn__max_per_img=20,
    **NO_WORKERS,
)


def pretrain(photos, out, **settings):
    return mae_transfer.pretrain(
        photos, out, ARCH, image_size=32, max_epochs=1, cfg_options=DECODER, **{**NO_WORKERS, **settings}
    )


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'), 24)


@pytest.fixture(scope='module')
def pretrained(photos, tmp_path_factory):
    """Two runs right after each other."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('runs')
    before = time.monotonic()
    runs = [pretrain(photos, folder / name) for name in ('first', 'second')]
    return *runs, time.monotonic() - before


@pytest.fixture(scope='module')
def weights(pretrained):
    return pretrained[0].checkpoint


def test_a_pretraining_gives_its_loss_its_config_and_its_checkpoint(pretrained, photos):
    result = pretrained[0]
    assert type(result) is TrainingResult and result.stands_on == 'mae_pretrain_vitb'
    assert (
        result.metrics.keys() == {'reconstruction/masked_loss', 'learning/rank_me'}
        and 0 < result.metrics['reconstruction/masked_loss'] < 9
    )
    assert (
        result.config == result.work_dir / 'mae_pretrain_vitb.py'
        and result.checkpoint == result.work_dir / 'epoch_1.pth'
    )
    written = Config.fromfile(result.config)
    assert written.data_root == str(photos) and written.model.vit.arch == ARCH and written.model.decoder.depth == 1
    assert str(result).startswith('mae_pretrain_vitb: reconstruction/masked_loss ') and 'epoch_1.pth' in str(result)


def test_a_second_call_has_a_log_and_figures_of_its_own(pretrained):
    """It makes the same run, and knows nothing of the first."""
    first, second, _ = pretrained
    assert first.metrics == second.metrics
    for run in (first, second):
        logs, figures = (list(run.work_dir.glob(f'*/{pattern}')) for pattern in ('*.log', 'vis_data/scalars.json'))
        assert len(logs) == len(figures) == 1
        log = logs[0].read_text()
        assert log.count('Epoch(val) [1]') == 1 and str(run.work_dir) in log
        assert 'total_batch_size=4, train_dataloader.batch_size=4 for 23 images' in log  # one is held out
    kept = read_checkpoint(second.checkpoint)['message_hub']['runtime_info']['kept_checkpoints']
    assert kept == ['epoch_1.pth']


def test_instances_of_the_process_are_as_they_were(photos, tmp_path):
    own = MMLogger.get_instance('mine', log_file=str(tmp_path / 'mine.log'))
    hub = MessageHub.get_instance('mine')
    pretrain(photos, tmp_path / 'run')
    assert MMLogger.get_current_instance() is own and MessageHub.get_current_instance() is hub
    own.info('still open')
    assert 'still open' in (tmp_path / 'mine.log').read_text()
    assert not any('mae_pretrain' in name for name in Visualizer._instance_dict)


def test_a_detector_of_own_classes_with_patience_and_its_best_checkpoint(weights, tmp_path):
    torch.manual_seed(0)
    write_coco(tmp_path / 'data', ('train', 'valid'), ('train/_annotations.coco.json', 'valid/_annotations.coco.json'))
    result = mae_transfer.finetune('detect', tmp_path / 'data', weights, tmp_path / 'run', patience=1, **DETECTOR)
    assert result.stands_on == 'coco_maskrcnn_vitb' and result.checkpoint.name.startswith('best_coco_bbox_mAP')
    written = Config.fromfile(result.config)
    assert (
        list(written.classes) == ['traffic light', 'dog', 'cow'] and written.model.roi_head.bbox_head.num_classes == 3
    )
    assert written.model.backbone.arch == ARCH and written.total_batch_size == 2
    again = mae_transfer.test(result, data=tmp_path / 'data', **NO_WORKERS)
    assert type(again) is TestResult and again.work_dir == result.work_dir / 'test'
    assert again.metrics['coco/bbox_mAP'] == result.metrics['coco/bbox_mAP']
    assert again.stands_on == result.stands_on


def test_a_segmentor_of_names_beside_the_data(weights, tmp_path):
    torch.manual_seed(0)
    data = write_scenes(tmp_path / 'data', '{}/images', '{}/labels', ('train', 'valid'))
    (data / 'classes.txt').write_text('road\nfield\n')
    small = dict(crop_size=32, max_iters=3, total_batch_size=2, **NO_WORKERS)
    result = mae_transfer.finetune('segment', data, weights.parent, tmp_path / 'run', **small)
    assert result.stands_on == 'ade20k_upernet_vitb' and 0 <= result.metrics['mIoU'] <= 100
    assert result.checkpoint.name == 'iter_3.pth'
    assert mae_transfer.test(tmp_path / 'run', **NO_WORKERS).metrics == pytest.approx(result.metrics)
    alone = tmp_path / 'alone.pth'
    alone.write_bytes(result.checkpoint.read_bytes())
    moved = mae_transfer.test(alone, out=tmp_path / 'moved', **NO_WORKERS)
    assert moved.metrics == pytest.approx(result.metrics) and moved.config.is_file() and moved.stands_on == 'alone'


def class_folders(root):
    for split, count in (('train', 4), ('val', 2)):
        for name in ('cat', 'dog', 'owl'):
            for number in range(count):
                photo(root / split / name / f'{number}.jpg', (40, 40), number)
    return root


@pytest.mark.parametrize('recipe, config', [(None, 'in1k_finetune_vitb'), ('knn', 'in1k_knn_vitb')])
def test_a_classifier_of_class_folders(recipe, config, weights, tmp_path):
    torch.manual_seed(0)
    settings = dict(max_epochs=1, **NO_WORKERS) if recipe is None else {'test_dataloader__num_workers': 0}
    if recipe == 'knn':
        settings['test_cfg__train_dataloader__num_workers'] = 0
        settings['test_cfg__ks'] = (1, 3)
    result = mae_transfer.finetune(
        'classify',
        class_folders(tmp_path / 'data'),
        weights,
        tmp_path / 'run',
        recipe=recipe,
        image_size=32,
        **settings,
    )
    assert result.stands_on == config and all(0 <= value <= 100 for value in result.metrics.values())
    if recipe is None:
        assert Config.fromfile(result.config).model.num_classes == 3 and 'accuracy/top1' in result.metrics
    else:
        assert result.checkpoint == weights and len(result.metrics) >= 2


def test_a_detector_s_checkpoint_gives_its_vit(tmp_path, weights):
    torch.manual_seed(0)
    detector = mae_transfer.finetune('detect', write_coco(tmp_path / 'coco'), weights, tmp_path / 'det', **DETECTOR)
    result = mae_transfer.finetune(
        *('classify', class_folders(tmp_path / 'data'), detector.work_dir, tmp_path / 'run'),
        **dict(image_size=32, max_epochs=1, **NO_WORKERS),
        cfg_options={'model.vit.class_token': False},
    )
    log = next(result.work_dir.glob('*/*.log')).read_text()
    assert 'in the checkpoint, not used: neck.' in log and 'accuracy/top1' in result.metrics


# --- mistakes ---------------------------------------------------------------------------------------------------------
def test_mistakes_are_one_line_each_and_the_next_call_works(photos, weights, tmp_path):
    def line(call, *arguments, **settings):
        with pytest.raises(UserError) as caught:
            call(*arguments, tmp_path / 'run', **settings)
        text = str(caught.value)
        assert '\n' not in text and '--cfg-options' not in text
        return text

    (tmp_path / 'empty').mkdir()
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts/a.txt').touch()
    assert 'does not exist' in line(mae_transfer.pretrain, tmp_path / 'none')
    assert 'no image in' in line(mae_transfer.pretrain, tmp_path / 'texts')
    assert "unknown arch 'bse'" in line(mae_transfer.pretrain, photos, arch='bse')
    assert "no 'max_epoch'; did you mean 'max_epochs'?" in line(mae_transfer.pretrain, photos, max_epoch=3)
    assert line(mae_transfer.pretrain, photos, total_batch_size=64, arch=ARCH).startswith(
        '23 images, 23 for each process'
    )
    coco = write_coco(tmp_path / 'coco')
    assert 'no checkpoint file' in line(mae_transfer.finetune, 'detect', coco, tmp_path / 'none.pth')
    assert 'task is one of' in line(mae_transfer.finetune, 'boxes', coco, weights)
    assert 'looked for annotations of train' in line(mae_transfer.finetune, 'detect', photos, weights)
    assert 'no images of train with their label maps' in line(mae_transfer.finetune, 'segment', photos, weights)
    assert 'classes' in line(mae_transfer.finetune, 'segment', write_scenes(tmp_path / 'scenes'), weights)
    assert 'embed_dim 32, depth 4' in line(mae_transfer.finetune, 'detect', coco, weights, arch='tiny', max_epochs=1)
    with pytest.raises(UserError, match='without the config of a run, inside or beside it'):
        torch.save(dict(state_dict={}), tmp_path / 'bare.pth')
        mae_transfer.test(tmp_path / 'bare.pth')
    assert pretrain(photos, tmp_path / 'run').metrics


def test_ctrl_c_is_a_keyboard_interrupt_after_a_checkpoint(photos, tmp_path, monkeypatch):
    from mae_transfer.hooks import SpeedHook

    def stop(self, runner, *_, **__):
        runner.stop_signals.received = 2

    monkeypatch.setattr(SpeedHook, 'after_train_iter', stop)
    with pytest.raises(KeyboardInterrupt, match=r'iter_1.pth was written: go on by resume=True'):
        pretrain(photos, tmp_path / 'run')
    monkeypatch.undo()
    assert pretrain(photos, tmp_path / 'run', resume=True).checkpoint.name == 'epoch_1.pth'
    assert json.loads(json.dumps(dict(pretrain(photos, tmp_path / 'other').metrics)))


def test_workers_end_with_the_call(photos, tmp_path, monkeypatch):
    """Left to Python's search for cycles, PyTorch would wait five seconds for each."""
    alive = []

    def collect():
        alive.append(multiprocessing.active_children())
        return gc.collect()

    monkeypatch.setattr('mae_transfer.api.training.gc', SimpleNamespace(collect=collect))
    pretrain(photos, tmp_path / 'run', train_dataloader__num_workers=2, val_dataloader__num_workers=1)
    whole = save_photo(tmp_path / 'whole.png').read_bytes()
    (tmp_path / 'broken').mkdir()
    for number in range(8):
        (tmp_path / 'broken' / f'{number}.png').write_bytes(whole if number < 5 else whole[:200])
    with pytest.raises(UserError, match='3 of 7 images cannot be read'):
        pretrain(tmp_path / 'broken', tmp_path / 'broken_run', train_dataloader__num_workers=1, total_batch_size=4)
    assert alive == [[], []]
