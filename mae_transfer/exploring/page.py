"""The page: photos above three tabs, of reconstructions, of features, and of nearest photos."""

from __future__ import annotations

import functools
import html
import itertools
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..errors import UserError, shorten
from .answers import MOST_COLOURED, Answers, Session, plain
from .masks import BY_HAND
from .pictures import enlarged

#: Fonts of the reader's machine, so that none is fetched.
FONTS = ('system-ui', 'sans-serif')
CSS = '.clickable img { cursor: crosshair } footer { display: none !important }'
_THUMBNAIL, _HEIGHT = 128, 124  # pixels: of a photo's side, of the strip
_SHARES = (0.05, 0.95)  # of hidden patches, by the slider


def told(action: Callable[..., Any]) -> Callable[..., Any]:
    """An action whose ``UserError`` is a message on the page, which then stays as it is."""

    @functools.wraps(action)
    def told_action(*args: Any, **kwargs: Any) -> Any:
        try:
            return action(*args, **kwargs)
        except UserError as error:
            gr.Warning(html.escape(str(error)), duration=20, title='Not possible')
            return gr.skip()

    return told_action


class Page:
    """The page of a model and its photos.

    Args:
        answers: of the model about the photos.
        title: what is explored, for the head of the page.
        note: where the photos are from, a sentence.
    """

    def __init__(self, answers: Answers, title: str, note: str) -> None:
        self.answers, self.title, self.note = answers, title, plain(note)
        self.reconstructs = answers.subject.model is not None
        # Removed with this object, at the latest when Python ends.
        self._folder, self._numbers = tempfile.TemporaryDirectory(prefix='mae_transfer_'), itertools.count()
        if answers.unreadable:
            self.note += f' Some cannot be read: {shorten(map(plain, answers.unreadable), 3)}.'

    def close(self) -> None:
        """Remove the files of the page."""
        self._folder.cleanup()

    # The layout ------------------------------------------------------------------------------------------------------

    def build(self) -> gr.Blocks:
        """The page, which can be launched."""
        subject = self.answers.subject
        with gr.Blocks(title=f'explore {self.title}', analytics_enabled=False, delete_cache=(3600, 3600)) as page:
            self.session = gr.State(self.answers.first_session())
            gr.Markdown(f'## {plain(self.title)}\n{plain(subject.description)}')
            with gr.Row():
                with gr.Column(scale=5):
                    self.strip = _gallery('Choose a photo', 'strip', columns=16, height=_HEIGHT)
                with gr.Column(scale=1, min_width=160):
                    gr.Markdown('or drop one')
                    self.file = gr.File(show_label=False, height=_HEIGHT, elem_id='drop')
            self.name = gr.Markdown(elem_id='name')
            with gr.Tabs(selected='reconstruction' if self.reconstructs else 'features'):
                with gr.Tab('Reconstruction', id='reconstruction'):
                    self._build_reconstruction()
                with gr.Tab('Features', id='features'):
                    self._build_features()
                with gr.Tab('Nearest photos', id='nearest') as self.nearest_tab:
                    what = 'Nearest first, with the cosine of their vectors: click one to choose it'
                    self.found = _gallery(what, 'found', columns=6, height='auto')
                    self.said_of_nearest = gr.Markdown(elem_id='said_of_nearest')
            self._connect(page)
        return page

    def _build_reconstruction(self) -> None:
        if not self.reconstructs:
            gr.Markdown(f'**No reconstructions:** {plain(self.answers.subject.why_not)}', elem_id='why_not')
            return
        masking, ratio = self.answers.first_masking
        with gr.Row():
            choices = [*self.answers.maskings, BY_HAND]
            self.masking = gr.Radio(choices, value=masking, label='masking', elem_id='masking', scale=4)
            self.ratio = gr.Slider(
                *_SHARES, ratio, step=0.01, label='share of hidden patches', elem_id='ratio', scale=5
            )
        with gr.Row(equal_height=True):
            self.again = gr.Button('another mask', size='sm', elem_id='again', min_width=110)
            self.hide = gr.Button('hide all', size='sm', elem_id='hide', min_width=80)
            self.show = gr.Button('show all', size='sm', elem_id='show', min_width=80)
            label = 'in the reconstruction, shown patches are those of the photo'
            self.pasted = gr.Checkbox(True, label=label, elem_id='pasted', scale=4)
        with gr.Row():
            self.masked = _picture('**Masked**: click patches', 'masked', clickable=True)
            self.predicted = _picture('**Reconstruction**', 'predicted')
            self.original = _picture('**Original**', 'original')
        self.said_of_loss = gr.Markdown(elem_id='said_of_loss')

    def _build_features(self) -> None:
        heads, most = self.answers.heads, max(1, min(MOST_COLOURED, len(self.answers.strip)))
        with gr.Row():
            self.head = gr.Dropdown(heads, value=heads[0], label='attention of', elem_id='head')
            label = 'photos whose features are coloured together'
            self.count = gr.Slider(
                1, max(2, most), min(4, most), step=1, label=label, elem_id='count', visible=most > 1
            )
            label = 'colours without what all photos have in common at a place'
            self.without_places = gr.Checkbox(False, label=label, elem_id='without_places', visible=most > 1)
        with gr.Row():
            self.asked = _picture('**Click a patch**', 'asked', clickable=True)
            self.heat = _picture('**What it attends to**', 'heat')
        self.said_of_attention = gr.Markdown(elem_id='said_of_attention')
        self.colours = _picture('**Features of the patches as colours**', 'colours')
        self.said_of_colours = gr.Markdown(elem_id='said_of_colours')

    def _connect(self, page: gr.Blocks) -> None:
        """Say which action follows what. They compute one at a time: all use the model."""
        on: dict[str, Any] = dict(concurrency_id='model', concurrency_limit=1, api_visibility='private')
        quick = dict(on, show_progress='hidden')
        # A slider that is dragged asks more often than can be answered: the last time counts.
        dragged = dict(quick, trigger_mode='always_last')
        session = self.session
        attention = [self.asked, self.heat, self.said_of_attention]
        coloured = [self.colours, self.said_of_colours]
        colouring = [session, self.count, self.without_places]
        settings, everything = [session, self.head, *colouring[1:]], [self.name, *attention, *coloured]
        if self.reconstructs:
            pictures = [self.masked, self.predicted, self.original, self.said_of_loss]
            masks = [session, self.masking, self.ratio, *pictures]
            chosen = [session, self.masking, self.ratio, self.pasted]
            self.ratio.input(told(self.at_ratio), chosen, masks, **dragged)
            self.masking.input(told(self.by_masking), chosen, masks, **quick)
            self.again.click(told(self.another), chosen, masks, **quick)
            self.hide.click(told(self.hide_all), chosen, masks, **quick)
            self.show.click(told(self.show_all), chosen, masks, **quick)
            self.masked.select(told(self.toggle), chosen, masks, **quick)
            self.pasted.input(told(self.answers.reconstruction), [session, self.pasted], pictures, **dragged)
            settings, everything = [*settings, self.pasted], [*everything, *pictures]
        nearest = [session, self.found, self.said_of_nearest]
        # Not with the layout, whose files gradio leaves behind.
        page.load(self.thumbnails, None, self.strip, **quick)
        page.load(told(self.everything), settings, everything, **on)
        dropped = self.file.upload(told(self.drop), [session, self.file], session, **quick)
        dropped.then(lambda: None, None, self.file, **quick)  # empty for the next one, also after one that is refused
        for choosing in (
            dropped,
            self.strip.select(told(self.choose), session, session, **quick),
            self.found.select(told(self.choose_nearest), session, session, **quick),
        ):
            drawn = choosing.then(told(self.everything), settings, everything, **on)
            drawn.then(told(self.nearest_if_known), session, nearest, **quick)
        self.asked.select(told(self.ask), [session, self.head], [session, *attention], **quick)
        self.head.input(told(self.answers.attention), [session, self.head], attention, **quick)
        self.count.input(told(self.answers.coloured), colouring, coloured, **dragged)
        self.without_places.input(told(self.answers.coloured), colouring, coloured, **quick)
        self.nearest_tab.select(told(self.nearest), session, nearest, **on)

    # Choosing a photo ------------------------------------------------------------------------------------------------

    def thumbnails(self) -> list[str]:
        """The strip, as files."""
        subject, strip = self.answers.subject, self.answers.strip
        return [self._file(enlarged(subject.picture(photo), _THUMBNAIL)) for photo in strip]

    def _file(self, picture: np.ndarray) -> str:
        """A picture of a gallery as a file: gradio removes its copies of files, not those that it makes of arrays."""
        path = os.path.join(self._folder.name, f'{next(self._numbers)}.png')
        Image.fromarray(picture).save(path)
        return path

    def choose(self, session: Session, event: gr.SelectData) -> Session:
        """A photo of the strip."""
        return replace(session, photo=self.answers.strip[event.index])

    def choose_nearest(self, session: Session, event: gr.SelectData) -> Session:
        """One of the nearest photos."""
        return replace(session, photo=self.answers.photos[session.nearest[event.index]])

    def drop(self, session: Session, path: str) -> Session:
        """A photo that was dropped."""
        return replace(session, photo=self.answers.photos.dropped(path))

    def everything(self, session: Session, head: str, count: int, without: bool, *pasted: bool) -> tuple[Any, ...]:
        """All that the first two tabs show of a photo."""
        if session.photo is None:
            return (f'{self.note} Drop a photo.', *[None] * (5 + 4 * self.reconstructs))
        name = f'**{plain(session.photo.name)}** · {self.note}'
        found = (name, *self.answers.attention(session, head), *self.answers.coloured(session, count, without))
        return (*found, *self.answers.reconstruction(session, *pasted)) if pasted else found

    # Masks -----------------------------------------------------------------------------------------------------------

    def at_ratio(self, session: Session, masking: str, ratio: float, pasted: bool) -> tuple[Any, ...]:
        """Another share of hidden patches; after patches were chosen by hand, of the run's own masking."""
        masking = self.answers.first_masking[0] if masking == BY_HAND else masking
        return self.by_masking(session, masking, ratio, pasted)

    def by_masking(self, session: Session, masking: str, ratio: float, pasted: bool) -> tuple[Any, ...]:
        """Another masking."""
        return self._masked(self.answers.masked_by(session, masking, ratio), masking, ratio, pasted)

    def another(self, session: Session, masking: str, ratio: float, pasted: bool) -> tuple[Any, ...]:
        """Another mask of the same masking."""
        return self.at_ratio(replace(session, seed=session.seed + 1), masking, ratio, pasted)

    def hide_all(self, session: Session, masking: str, ratio: float, pasted: bool) -> tuple[Any, ...]:
        """Every patch hidden."""
        return self._masked(replace(session, hidden=np.ones_like(session.hidden)), BY_HAND, ratio, pasted)

    def show_all(self, session: Session, masking: str, ratio: float, pasted: bool) -> tuple[Any, ...]:
        """Every patch shown."""
        return self._masked(replace(session, hidden=np.zeros_like(session.hidden)), BY_HAND, ratio, pasted)

    def toggle(
        self, session: Session, masking: str, ratio: float, pasted: bool, event: gr.SelectData
    ) -> tuple[Any, ...]:
        """The patch that was clicked hidden or shown."""
        session = self.answers.toggled_at(session, event.index, self._size_of_picture())
        return self._masked(session, BY_HAND, ratio, pasted)

    def _masked(self, session: Session, masking: str, ratio: float, pasted: bool) -> tuple[Any, ...]:
        if masking == BY_HAND:  # the slider shows what is hidden
            ratio = round(float(session.hidden.mean().clip(*_SHARES)), 2)
        return session, masking, ratio, *self.answers.reconstruction(session, pasted)

    def _size_of_picture(self) -> tuple[int, int]:
        """(height, width) of the pictures in which patches are clicked."""
        height, width = self.answers.subject.size
        return enlarged(np.zeros((height, width, 1), bool)).shape[:2]

    # Features and nearest photos -------------------------------------------------------------------------------------

    def ask(self, session: Session, head: str, event: gr.SelectData) -> tuple[Any, ...]:
        """The patch that was clicked asked for its attention."""
        session = self.answers.asked_at(session, event.index, self._size_of_picture())
        return session, *self.answers.attention(session, head)

    def nearest(self, session: Session, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        """The nearest photos; the first time all photos are embedded before."""
        return self._nearest(session, lambda done, total: progress((done, total), 'photos embedded', unit='photos'))

    def nearest_if_known(self, session: Session) -> tuple[Any, ...]:
        """The nearest photos, where all are embedded already."""
        # No gr.skip(), after which gradio forgets the files of a gallery.
        return (session, None, '') if self.answers.vectors is None else self._nearest(session)

    def _nearest(self, *words: Any) -> tuple[Any, ...]:
        session, pictures, text = self.answers.nearest(*words)
        return session, [(self._file(picture), caption) for picture, caption in pictures], text


def _picture(label: str, name: str, clickable: bool = False) -> gr.Image:
    """A picture below its label, shown as it is, without loss: a label within it would cover patches."""
    classes = ['clickable'] if clickable else []
    fixed: dict[str, Any] = dict(show_label=False, format='png', interactive=False, buttons=[])
    with gr.Column(min_width=200):
        gr.Markdown(label)
        return gr.Image(elem_id=name, elem_classes=classes, **fixed)


def _gallery(label: str, name: str, **settings: Any) -> gr.Gallery:
    """Pictures to choose from, below a label."""
    gr.Markdown(label)
    fixed: dict[str, Any] = dict(object_fit='cover', allow_preview=False, interactive=False, buttons=[], format='png')
    return gr.Gallery(show_label=False, elem_id=name, **fixed, **settings)
