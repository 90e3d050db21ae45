import re
import socket

import pytest

import mae_transfer
from mae_transfer.errors import UserError
from mae_transfer.exploring.explore import HOST, RunningPage, check_page, explore
from tests.exploring.subjects import classifier, mae
from tests.helpers import photo_folder
from tests.tools.commands import free_port


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'no_proxy', 'NO_PROXY'):
        monkeypatch.delenv(name, raising=False)


def test_a_missing_gradio_is_one_line(monkeypatch):
    monkeypatch.setattr('mae_transfer.exploring.explore.find_spec', lambda name: None)
    with pytest.raises(UserError, match=r"the page needs gradio: pip install 'mae_transfer\[explore\]'"):
        explore('work_dirs/none')


def test_an_old_gradio_is_one_line(monkeypatch):
    monkeypatch.setattr('mae_transfer.exploring.explore.version', lambda name: '5.49.1')
    with pytest.raises(UserError, match=r'the page needs gradio 6.0 or newer; found 5.49.1: pip install'):
        explore('work_dirs/none')


needs_gradio = pytest.mark.usefixtures('no_proxy')


@pytest.fixture(autouse=True)
def gradio_is_found(monkeypatch):
    """The checks are the same where gradio is not installed; pages need it."""
    monkeypatch.setattr('mae_transfer.exploring.explore.find_spec', lambda name: object())
    monkeypatch.setattr('mae_transfer.exploring.explore.version', lambda name: '6.31.0')


@needs_gradio
def test_a_port_in_use_is_one_line_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f'port {port} of 127.0.0.1 cannot be used .*: choose another'):
            explore('work_dirs/none', port=port)


@needs_gradio
@pytest.mark.parametrize('port', [0, 70000, True, '7860', 1.5])
def test_what_is_no_port_is_one_line(port):
    with pytest.raises(UserError, match='port is a whole number from 1 to 65535'):
        check_page(port)


@needs_gradio
def test_a_proxy_before_this_machine_is_one_line(monkeypatch):
    monkeypatch.setenv('http_proxy', 'http://proxy.invalid:3128')
    with pytest.raises(UserError, match='a proxy is set, also for 127.0.0.1, .*: set NO_PROXY=127.0.0.1'):
        check_page(free_port())
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    check_page(free_port())


@needs_gradio
def test_a_run_that_does_not_exist_is_one_line(tmp_path):
    with pytest.raises(UserError, match='no checkpoint file or work_dir .*none'):
        mae_transfer.explore(tmp_path / 'none', port=free_port())


@needs_gradio
def test_photos_that_do_not_exist_are_one_line(tmp_path):
    with pytest.raises(UserError, match='none.* does not exist'):
        explore(mae(tmp_path / 'photos'), tmp_path / 'none', port=free_port())


@needs_gradio
def test_photos_of_which_none_can_be_read_are_one_line(tmp_path):
    (tmp_path / 'others').mkdir()
    (tmp_path / 'others' / 'a.png').write_bytes(b'no image')
    with pytest.raises(UserError, match=r'photos: none of a\.png can be read'):
        explore(mae(tmp_path / 'photos'), tmp_path / 'others', port=free_port())


@needs_gradio
@pytest.mark.parametrize(
    ('run', 'photos', 'note', 'count'),
    [
        ('mae', None, '4 photos that were held out of the training.', 4),
        ('mae', 'others', '3 photos of .*others.', 3),
        ('gone', None, r'No photos: those that the run held out are not there \(.*gone does not exist', 0),
        ('classifier', None, 'No photos: only a pre-training has some of its own; --photos FOLDER gives others.', 0),
    ],
)
def test_the_photos_are_the_runs_or_those_that_are_given(run, photos, note, count, tmp_path, monkeypatch, capsys):
    served = []

    def serve(*words):
        served.append(words)
        return RunningPage(None, None, words[3])

    monkeypatch.setattr('mae_transfer.exploring.explore._serve', serve)
    photo_folder(tmp_path / 'photos', 4)
    photo_folder(tmp_path / 'others', 3)
    made = classifier() if run == 'classifier' else mae(tmp_path / ('gone' if run == 'gone' else 'photos'))
    port = free_port()
    page = explore(made, photos and tmp_path / photos, port=port, wait=False)
    (answers, title, told, _, opens) = served[0]
    assert page.url == f'http://127.0.0.1:{port}' and title == 'work_dirs/mae' and not opens
    assert len(answers.photos) == len(answers.strip) == count
    assert re.match(note, told)
    assert page.url in capsys.readouterr().out
