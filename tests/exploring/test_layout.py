"""What holds for every action of the page, without a browser."""

import pytest

from mae_transfer.exploring.answers import Answers
from mae_transfer.exploring.photos import PagePhotos
from mae_transfer.exploring.subject import Subject
from tests.exploring.subjects import PATCH, classifier, mae

pytest.importorskip('gradio', reason='the page needs gradio: the extra explore')


@pytest.mark.parametrize(('kind', 'actions'), [(mae, 20), (classifier, 10)])
def test_actions_compute_one_at_a_time_and_are_no_public_interface(kind, actions, tmp_path):
    from mae_transfer.exploring.page import Page

    subject = Subject(kind(tmp_path) if kind is mae else kind())
    blocks = Page(Answers(subject, PagePhotos([], (32, 32), 'RGB', False, PATCH)), 'a', 'no photos').build()
    found = list(blocks.fns.values())
    assert len(found) >= actions
    for action in found:
        assert (action.concurrency_id, action.concurrency_limit) == ('model', 1)
        assert action.api_visibility == 'private'
    assert blocks.analytics_enabled is False
