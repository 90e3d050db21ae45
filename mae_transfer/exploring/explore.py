"""A local page to play with a trained ViT, in Python: ``mae_transfer.explore('work_dirs/mae')``."""

from __future__ import annotations

import os
import socket
import threading
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import torch
from packaging.version import Version

from ..calls import python_call
from ..data.files.bands import Bands
from ..data.files.photo_files import PhotoFiles
from ..errors import UserError, shorten
from ..inference.models import model_of
from ..inference.photos import Images, find_images
from ..inference.trained import Trained
from ..paths import shown
from .answers import Answers
from .photos import PagePhotos, held_out
from .subject import Subject

if TYPE_CHECKING:
    import gradio

    from .page import Page

#: The page is for this machine alone.
HOST = '127.0.0.1'
_OLDEST = Version('6.0')
_INSTALL = "pip install 'mae_transfer[explore]'"


class RunningPage:
    """A page that is served, until it is closed.

    Attributes:
        url: its address.
    """

    def __init__(self, page: Page, blocks: gradio.Blocks, port: int) -> None:
        self._page, self._blocks, self.url = page, blocks, f'http://{HOST}:{port}'

    def __repr__(self) -> str:
        return f'page at {self.url}'

    def wait(self) -> None:
        """Serve the page until Ctrl-C."""
        threading.Event().wait()

    def close(self) -> None:
        """End the page, and remove its files."""
        self._blocks.close(verbose=False)
        self._page.close()


@python_call
def explore(
    run: Trained | str | os.PathLike,
    photos: Images | None = None,
    *,
    port: int = 7860,
    device: str | torch.device | None = None,
    open_browser: bool = False,
    wait: bool = True,
    verbose: bool = False,
    arch: Any = None,
    init: str | None = None,
    design: Any = None,
    weights_key: str | None = None,
    source_grid: tuple[int, int] | None = None,
    bands: Bands | None = None,
    mean: Any = None,
    std: Any = None,
) -> RunningPage:
    """Serve a page on this machine: reconstructions under any mask, attention, features as colours, nearest photos.

    Args:
        run: what :func:`~mae_transfer.inference.trained.load` gave or takes: a work_dir, or a checkpoint of a run. Or
            the weights of a ViT alone, of which the page shows features and nearest photos.
        photos: a folder, searched at any depth; an image; a list file; a tar file; a list of folders and images. None:
            the photos that a pre-training held out, where they are still there.
        port: where the page is served, on 127.0.0.1 only.
        device: 'cpu', 'cuda', ...; None for a GPU if there is one.
        open_browser: whether a browser is opened.
        wait: whether to return only after Ctrl-C; otherwise the page is served until it is closed, or Python ends.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).
        arch, init, design, weights_key, source_grid, bands, mean, std: of a ViT alone, see
            :func:`~mae_transfer.inference.bare_vit.read_bare_vit`.

    Returns:
        The page.

    Raises:
        UserError: gradio is missing; a port that is in use; no such run, photos or device; a model without a ViT.
    """
    check_page(port)
    reading = dict(arch=arch, init=init, design=design, weights_key=weights_key, source_grid=source_grid)
    reading |= dict(bands=bands, mean=mean, std=std)
    source = model_of(run, reading, device)
    subject = Subject(source, device)
    files, note = _photos(source, photos, subject.encoder.bands)
    page_photos = PagePhotos(files, subject.size, subject.encoder.bands, subject.exif_orientation, subject.patch_size)
    answers = Answers(subject, page_photos)
    if photos is not None and not answers.strip:
        raise UserError(f'photos: none of {shorten(map(shown, answers.unreadable))} can be read, or shown to the model')
    page = _serve(answers, shown(source.source), note, port, open_browser)
    print(f'{note}\n{page.url} shows the page, on this machine only; Ctrl-C ends it', flush=True)
    if wait:
        try:
            page.wait()
        finally:
            page.close()
    return page


def check_page(port: int) -> None:
    """Refuse, before any work, what cannot be served.

    Raises:
        UserError: gradio is missing, or too old; no port, or one that is in use; a proxy between this machine and
            itself.
    """
    if find_spec('gradio') is None:
        raise UserError(f'the page needs gradio: {_INSTALL}')
    if Version(found := version('gradio')) < _OLDEST:
        raise UserError(f'the page needs gradio {_OLDEST} or newer; found {found}: {_INSTALL}')
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise UserError(f'port is a whole number from 1 to 65535; found {port!r}')
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            advice = f'choose another, e.g. {port + 1}' if port < 65535 else 'choose another'
            raise UserError(f'port {port} of {HOST} cannot be used ({error.strerror}): {advice}') from error
    if {'http', 'all'} & set(getproxies()) and not proxy_bypass(HOST):
        raise UserError(f'a proxy is set, also for {HOST}, where the page is served: set NO_PROXY={HOST}')


def _photos(source: Any, photos: Images | None, bands: Bands) -> tuple[list[PhotoFiles], str]:
    """Where the photos of the page are, and a sentence that says it."""
    if photos is not None:
        found = find_images(photos, bands)
        return [found], f'{len(found)} photos of {shown(found.root)}.'
    if not isinstance(source, Trained) or source.task != 'pretrain':
        return [], 'No photos: only a pre-training has some of its own; --photos FOLDER gives others.'
    try:
        held = held_out(source.cfg)
    except UserError as error:
        return [], f'No photos: those that the run held out are not there ({error}); --photos FOLDER gives others.'
    return held, f'{sum(map(len, held))} photos that were held out of the training.'


def _serve(answers: Answers, title: str, note: str, port: int, open_browser: bool) -> RunningPage:
    """Build the page and serve it."""
    import gradio as gr  # here, because it takes seconds

    from .page import CSS, FONTS, Page

    page = Page(answers, title, note)
    blocks = page.build()
    blocks.queue()
    theme = gr.themes.Default(font=FONTS, font_mono=('ui-monospace', 'monospace'))
    try:
        blocks.launch(
            server_name=HOST,
            server_port=port,
            share=False,
            inbrowser=open_browser,
            inline=False,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            enable_monitoring=False,
            ssr_mode=False,
            theme=theme,
            css=CSS,
        )
    except OSError as error:  # taken since it was looked at
        raise UserError(f'port {port} of {HOST} cannot be used: {error}') from error
    return RunningPage(page, blocks, port)
