"""Figures of a run in TensorBoard, Weights & Biases and MLflow."""

import pytest
import torch

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.runs import tracking
from mae_transfer.runs.instances import own_instances
from mae_transfer.runs.tracking import check_trackers, vis_backends
from mae_transfer.settings import read_config
from tests.helpers import photo_folder, pretraining
from tests.tools.commands import REPOSITORY

OWN = dict(type='mae_transfer.LocalVisBackend')


@pytest.mark.parametrize(
    'track, names',
    [
        ('', ()),
        (None, ()),
        ([], ()),
        ('tensorboard', ('mmengine.TensorboardVisBackend',)),
        ('wandb, MLflow', ('mmengine.WandbVisBackend', 'mae_transfer.MLflowVisBackend')),
        (['mlflow', 'tensorboard', 'mlflow'], ('mae_transfer.MLflowVisBackend', 'mmengine.TensorboardVisBackend')),
    ],
)
def test_the_setting(track, names):
    assert vis_backends(track) == [OWN, *(dict(type=name) for name in names)]


def test_another_name_is_refused():
    with pytest.raises(UserError, match="track is '' or one or several of tensorboard, wandb, mlflow; found 'comet'"):
        vis_backends('tensorboard,comet')


@pytest.mark.parametrize('name', ['mae_pretrain_vitb', 'coco_vitdet_vitb', 'ade20k_upernet_vitb', 'in1k_knn_vitb'])
def test_every_config_has_it_and_names_a_package_that_is_missing(name, monkeypatch):
    cfg = read_config(REPOSITORY / f'configs/{name}.py', ['track=wandb,tensorboard'])
    assert len(cfg.visualizer.vis_backends) == 3
    check_trackers(cfg)
    monkeypatch.setattr(tracking, 'find_spec', lambda package: None if package == 'tensorboard' else True)
    with pytest.raises(UserError, match=r"^track='tensorboard' needs the package tensorboard, .*: pip install 'mae_t"):
        check_trackers(cfg)


def tracked(track, tmp_path, name='run'):
    """A run of three epochs of two steps, with a validation at its end."""
    torch.manual_seed(0)
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / name, launcher='none')
    cfg.visualizer.vis_backends = vis_backends(track)
    with own_instances():
        launch.train(cfg)
    return tmp_path / name


def test_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = next(tracked('tensorboard', tmp_path).glob('*/vis_data'))
    events = EventAccumulator(str(folder))
    events.Reload()
    losses = events.Scalars('loss')
    assert [event.step for event in losses] == [1, 2, 3, 4, 5, 6] and all(0 < event.value < 9 for event in losses)
    assert len(events.Scalars('reconstruction/masked_loss')) == 1


def test_mlflow(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    for name in ('MLFLOW_TRACKING_URI', 'MLFLOW_ALLOW_FILE_STORE'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    for name in ('first', 'second'):
        store = next(tracked('mlflow', tmp_path, name).glob('*/vis_data'))
        client = MlflowClient(f'file://{store}')
        runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
        assert len(runs) == 1 and runs[0].info.status == 'FINISHED'
        history = client.get_metric_history(runs[0].info.run_id, 'loss')
        assert sorted(metric.step for metric in history) == [1, 2, 3, 4, 5, 6]
        assert 'reconstruction/masked_loss' in runs[0].data.metrics


@pytest.mark.slow
def test_wandb_offline(tmp_path, monkeypatch):
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    import wandb

    for name in ('first', 'second'):
        folder = next(tracked('wandb', tmp_path, name).glob('*/vis_data'))
        assert len(list(folder.glob('wandb/offline-run-*/run-*.wandb'))) == 1 and wandb.run is None
