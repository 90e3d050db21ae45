import numpy as np
import pytest

from mae_transfer.data.files.photo_files import PhotoFiles
from mae_transfer.errors import UserError
from mae_transfer.exploring.answers import STRIP, Answers, plain
from mae_transfer.exploring.masks import BY_HAND
from mae_transfer.exploring.photos import PagePhotos
from mae_transfer.exploring.subject import Subject
from tests.exploring.subjects import GRID, PATCH, classifier, mae
from tests.helpers import photo_folder


def answers_of(run, folder, count=6):
    photo_folder(folder, count)
    files = PhotoFiles(folder, [f'photo{number}.png' for number in range(count)])
    return Answers(Subject(run), PagePhotos([files], (32, 32), 'RGB', False, PATCH))


@pytest.fixture
def answers(tmp_path):
    return answers_of(mae(tmp_path), tmp_path / 'photos')


def test_a_reader_begins_with_the_first_photo_masked_as_in_training(answers):
    session = answers.first_session()
    assert session.photo.name == 'photo0.png' and session.hidden.mean() == 0.75 and session.patch == 10
    assert answers.first_masking == ('random', 0.75) and len(answers.strip) == 6 and not answers.unreadable


def test_the_ratio_and_the_masking_change_the_picture_and_its_sentence(answers):
    session = answers.first_session()
    masked, predicted, original, text = answers.reconstruction(session, True)
    assert masked.shape == predicted.shape == original.shape == (448, 448, 3)
    assert 'Loss of this photo' in text and '12 of 16 patches are hidden (75 %)' in text and 'borrow' in text
    half = answers.masked_by(session, 'grid', 0.5)
    assert half.hidden.reshape(GRID).sum(0).tolist() == [2, 2, 2, 2]
    again, *_, text = answers.reconstruction(half, True)
    assert (again != masked).any() and '8 of 16' in text
    assert answers.masked_by(half, BY_HAND, 0.9) is half
    assert 'Shown patches are predictions' in answers.reconstruction(half, False)[-1]


def test_a_click_hides_and_shows_a_patch(answers):
    session = answers.first_session()
    clicked = answers.toggled_at(session, (447, 2), (448, 448))
    assert np.flatnonzero(clicked.hidden != session.hidden).tolist() == [3]
    assert (answers.toggled_at(clicked, (440, 100), (448, 448)).hidden == session.hidden).all()


def test_without_hidden_patches_there_is_no_loss(answers):
    session = answers.masked_by(answers.first_session(), 'random', 0.5)
    shown = type(session)(np.zeros(16, bool), 0, session.photo)
    *pictures, text = answers.reconstruction(shown, True)
    assert 'No patch is hidden' in text and np.array_equal(pictures[1], pictures[2])


def test_attention_is_of_the_patch_and_the_head_that_are_asked(answers):
    session = answers.asked_at(answers.first_session(), (5, 440), (448, 448))
    assert session.patch == 12 and answers.heads == ['mean of all heads', 'head 1', 'head 2']
    asked, heat, text = answers.attention(session, 'mean of all heads')
    assert asked.shape == heat.shape and 'mean of all heads' in text and 'class token' in text
    framed = (asked != answers.attention(answers.first_session(), 'head 1')[0]).any(2)
    assert framed[336:, :112].any() and not framed[:220].any()
    shares = answers.subject.attention(session.photo, 12)
    assert f'{100 * shares[1, 1:].max():.1f} %' in answers.attention(session, 'head 2')[2]


def test_colours_are_of_the_chosen_photo_and_those_after_it(answers):
    one, text = answers.coloured(answers.first_session(), 1)
    assert 'this photo' in text
    three, text = answers.coloured(answers.first_session(), 3)
    assert 'all 3 photos' in text and three.shape[1] > three.shape[0] and one.shape[0] > one.shape[1]


def test_nearest_photos_are_computed_once(answers):
    told = []
    session, pictures, text = answers.nearest(answers.first_session(), lambda *numbers: told.append(numbers))
    assert told == [(6, 6)] and len(pictures) == len(session.nearest) == 5 and 'among 6 photos' in text
    assert 0 not in session.nearest and pictures[0][1].endswith(answers.photos.name(session.nearest[0]))
    vectors = answers.vectors
    answers.nearest(session)
    assert answers.vectors is vectors


def test_unreadable_photos_are_not_in_the_strip(tmp_path):
    (tmp_path / 'photos').mkdir()
    folder = photo_folder(tmp_path / 'photos', 3)
    (folder / 'photo1.png').write_text('no image')
    files = PhotoFiles(folder, ['photo0.png', 'photo1.png', 'photo2.png'])
    answers = Answers(Subject(mae(tmp_path)), PagePhotos([files], (32, 32), 'RGB', False, PATCH))
    assert [photo.index for photo in answers.strip] == [0, 2] and answers.unreadable == ['photo1.png']


def test_of_many_photos_some_are_in_the_strip(tmp_path):
    answers = answers_of(mae(tmp_path), tmp_path / 'photos', STRIP + 7)
    assert len(answers.strip) == STRIP


def test_without_a_photo_each_answer_is_one_line(tmp_path):
    answers = Answers(Subject(mae(tmp_path)), PagePhotos([], (32, 32), 'RGB', False, PATCH))
    session = answers.first_session()
    for ask in (answers.reconstruction, answers.coloured):
        with pytest.raises(UserError, match='no photo is chosen: drop one'):
            ask(session, 1)
    with pytest.raises(UserError, match='no photo is chosen'):
        answers.attention(session, 'head 1')


def test_a_model_that_reconstructs_nothing_has_the_other_answers(tmp_path):
    answers = answers_of(classifier(), tmp_path / 'photos')
    session = answers.first_session()
    with pytest.raises(UserError, match='predicts no pixels'):
        answers.reconstruction(session, True)
    assert len(answers.nearest(session)[1]) == 5 and answers.coloured(session, 2)[0].ndim == 3


def test_colours_without_places_are_of_the_contents(answers):
    session = answers.first_session()
    with_places, _ = answers.coloured(session, 2)
    without, text = answers.coloured(session, 2, True)
    assert (with_places != without).any() and f'{100 * answers.places.share:.0f} % of the variance' in text
    assert 'what 6 photos have in common at each place' in text and 0 < answers.places.share < 1


def test_a_name_has_no_meaning_in_markdown_or_html():
    assert plain('a*b_<img src=x>.png') == r'a\*b\_&lt;img src=x&gt;.png'
