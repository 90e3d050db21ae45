"""Every way in which MMEngine loads a checkpoint refuses to run code, and still reads MMEngine's own files."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from mae_transfer.compat import safe_loading
from mae_transfer.vit.weights.checkpoint import CheckpointError, load_vit, read_checkpoint
from tests.vit.weights.test_checkpoint_files import malicious

safe_loading.install()


class Line(BaseModel):
    """A linear layer; the loss is the mean square of its output."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        nn.init.constant_(self.linear.weight, 0.5)
        nn.init.constant_(self.linear.bias, 0.1)

    def forward(self, inputs, mode='loss'):
        output = self.linear(torch.stack(inputs))
        return dict(loss=output.square().mean()) if mode == 'loss' else output


def runner(work_dir, epochs: int = 2, **changes) -> Runner:
    data = [dict(inputs=torch.ones(2) * i) for i in range(4)]
    config = dict(
        model=Line(),
        work_dir=str(work_dir),
        experiment_name=uuid4().hex,
        train_dataloader=dict(
            dataset=data,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_size=2,
            num_workers=0,
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, end=1),
            dict(type='CosineAnnealingLR', begin=1, end=3, T_max=2),
        ],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1), checkpoint=dict(type='mmengine.CheckpointHook', interval=1)
        ),
        custom_hooks=[dict(type='EMAHook')],
        randomness=dict(seed=0),
        default_scope='mae_transfer',
        log_level='WARNING',
    )
    return Runner(**dict(config, **changes))


@pytest.fixture
def evil(tmp_path):
    """Paths of a checkpoint with everything that a runner expects, plus malicious objects; and of the file that these
    would create."""
    marker = tmp_path / 'marker'
    path = tmp_path / 'evil.pth'
    torch.save(
        dict(
            state_dict=Line().state_dict(),
            meta=dict(epoch=1, iter=2),
            message_hub=malicious(marker)['open'],
            evil=malicious(marker)['system'],
        ),
        path,
    )
    return path, marker


def resume(path, tmp_path):
    runner(tmp_path / 'work').resume(str(path))


def resume_newest(path, tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    (work / 'last_checkpoint').write_text(str(path))
    runner(work, resume=True).train()


def load_from(path, tmp_path):
    runner(tmp_path / 'work', load_from=str(path)).train()


def pretrained_init(path, tmp_path):
    model = Line()
    model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model.init_weights()


def pretrained_prefix(path, tmp_path):
    model = Line()
    model.init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='linear')
    model.init_weights()


def open_mmlab(path, tmp_path):
    (tmp_path / 'open_mmlab.json').write_text('{"evil": "evil.pth"}')
    CheckpointLoader.load_checkpoint('open-mmlab://evil')


WAYS = dict(
    load_vit=lambda path, tmp_path: load_vit(Line(), path),
    load_checkpoint=lambda path, tmp_path: load_checkpoint(Line(), str(path)),
    loader=lambda path, tmp_path: CheckpointLoader.load_checkpoint(str(path)),
    private_loader=lambda path, tmp_path: mmengine_checkpoint._load_checkpoint(str(path)),
    with_prefix=lambda path, tmp_path: mmengine_checkpoint._load_checkpoint_with_prefix('linear', str(path)),
    runner_load=lambda path, tmp_path: runner(tmp_path / 'work').load_checkpoint(str(path)),
    stream=lambda path, tmp_path: mmengine_checkpoint._safe_torch_load(path.open('rb')),
    unguarded=lambda path, tmp_path: mmengine_checkpoint._safe_torch_load(str(path), weights_only=False),
    resume=resume,
    resume_newest=resume_newest,
    load_from=load_from,
    pretrained_init=pretrained_init,
    pretrained_prefix=pretrained_prefix,
    open_mmlab=open_mmlab,
)


@pytest.mark.parametrize('way', WAYS)
def test_no_way_of_loading_runs_code(way, evil, tmp_path, monkeypatch):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')  # torch's own switch must have no effect
    path, marker = evil
    with pytest.raises(CheckpointError, match='refused'):
        WAYS[way](path, tmp_path)
    assert not marker.exists()


def test_full_unpickling_would_run_the_code(evil):
    path, marker = evil
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.fixture
def address(tmp_path):
    """URL of a local server for the files in tmp_path."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_files_from_the_web(address, evil, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save(Line().state_dict(), tmp_path / 'good.pth')
    read = CheckpointLoader.load_checkpoint(f'{address}/good.pth')
    assert set(read) == {'linear.weight', 'linear.bias'}
    assert (tmp_path / 'cache' / 'hub' / 'checkpoints' / 'good.pth').exists()
    with pytest.raises(CheckpointError, match='refused'):
        load_checkpoint(Line(), f'{address}/evil.pth')
    monkeypatch.setattr(mmengine_checkpoint, 'get_torchvision_models', lambda: dict(evil=f'{address}/evil.pth'))
    with pytest.raises(CheckpointError, match='refused'):
        CheckpointLoader.load_checkpoint('torchvision://evil')
    assert not evil[1].exists()


def test_a_run_resumes_from_mmengines_own_checkpoint(tmp_path):
    work = tmp_path / 'work'
    first = runner(work, epochs=1)
    first.message_hub.update_info('best', torch.tensor(0.5).numpy()[()])
    first.train()
    stored = read_checkpoint(work / 'epoch_1.pth')
    assert isinstance(stored['message_hub']['log_scalars']['train/loss'], HistoryBuffer)
    assert stored['optimizer'] and stored['param_schedulers'] and stored['ema_state_dict']

    second = runner(work, epochs=2, resume=True)
    model = second.train()
    assert (second.epoch, second.iter) == (2, 4)
    assert second.message_hub.get_info('best') == 0.5
    whole = runner(tmp_path / 'whole', epochs=2).train()
    assert len(second.message_hub.get_scalar('train/loss').data[0]) == 4  # the history is continued
    torch.testing.assert_close(model.linear.weight, whole.linear.weight, rtol=0, atol=0)


def test_statistics_of_a_history_still_work_after_reading(tmp_path):
    torch.save(dict(history=HistoryBuffer([3.0, 1.0, 2.0], [1, 1, 1])), tmp_path / 'history.pth')
    history = CheckpointLoader.load_checkpoint(str(tmp_path / 'history.pth'))['history']
    assert [history.statistics(name) for name in ('min', 'max', 'current', 'mean')] == [1.0, 3.0, 2.0, 2.0]


def test_resuming_from_a_truncated_file_is_refused(tmp_path):
    runner(tmp_path / 'work', epochs=1).train()
    path = tmp_path / 'work' / 'epoch_1.pth'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='cut short'):
        runner(tmp_path / 'work', epochs=2, resume=True).train()


def test_installing_again_changes_nothing():
    before = dict(CheckpointLoader._schemes), mmengine_checkpoint._safe_torch_load
    safe_loading.install()
    assert (dict(CheckpointLoader._schemes), mmengine_checkpoint._safe_torch_load) == before


def test_a_missing_device_raises_torchs_error(tmp_path):
    torch.save(Line().state_dict(), tmp_path / 'good.pth')
    with pytest.raises(RuntimeError) as error:
        read_checkpoint(tmp_path / 'good.pth', map_location='cuda:99')
    assert not isinstance(error.value, CheckpointError)
