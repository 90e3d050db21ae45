"""``mae-transfer explore``: what ends it, and with which line."""

import socket

import pytest
import torch
from mmengine.config import Config

from mae_transfer.exploring.explore import RunningPage
from tests.command.calls import command
from tests.exploring.subjects import mae
from tests.helpers import photo_folder, save_photo
from tests.tools.commands import error_line, free_port

pytest.importorskip('gradio', reason='the page needs gradio: the extra explore')


@pytest.fixture
def run(tmp_path):
    """A checkpoint of a run with four held-out photos."""
    trained = mae(photo_folder(tmp_path / 'photos', 4))
    cfg = Config(dict(trained.cfg, work_dir=str(tmp_path / 'run')))
    (tmp_path / 'run').mkdir()
    meta = dict(cfg=cfg.pretty_text, epoch=1, iter=1)
    torch.save(dict(state_dict=trained.model.state_dict(), meta=meta), tmp_path / 'run' / 'epoch_1.pth')
    return tmp_path / 'run' / 'epoch_1.pth'


def test_the_page_is_served_until_ctrl_c(run, monkeypatch):
    port, served = free_port(), []

    def stopped(page):
        with socket.create_connection(('127.0.0.1', port), timeout=5):
            served.append(page.url)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunningPage, 'wait', stopped)
    ended = command('explore', run, '--port', port, '--device', 'cpu')
    assert ended.code == 130 and ended.err.splitlines()[-1] == 'stopped by Ctrl-C', ended.err
    assert served == [f'http://127.0.0.1:{port}']
    assert '4 photos that were held out of the training.' in ended.out and served[0] in ended.out
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.1', port), timeout=5)


def test_a_mistake_is_one_line(run, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f'port {port} of 127.0.0.1 cannot be used' in error_line(command('explore', run, '--port', port))
    port = free_port()
    assert 'none' in error_line(command('explore', tmp_path / 'none', '--port', port))
    assert 'none' in error_line(command('explore', run, '--photos', tmp_path / 'none', '--port', port))
    assert "device 'tpu9'" in error_line(command('explore', run, '--device', 'tpu9', '--port', port))
    deep = save_photo(tmp_path / 'deep' / 'x.png', mode='I')
    assert 'x.png has 1 channel' in error_line(command('explore', run, '--photos', deep.parent, '--port', port))
