"""docs/questions.md: its settings exist, and who types the usual words into the search of the site gets there."""

from __future__ import annotations

import re

import pytest

from mae_transfer.checks import check_settings
from mae_transfer.errors import UserError
from mae_transfer.settings import read_config
from tests.browser import open_browser
from tests.docs.documents import REPOSITORY
from tests.docs.site import search

TEXT = (REPOSITORY / 'docs' / 'questions.md').read_text()
QUESTIONS = re.findall(r'^### ([^\n]+)\n\n(.*?)(?=^##|\Z)', TEXT, re.MULTILINE | re.DOTALL)
CONFIGS = ('mae_pretrain_vitb', 'coco_vitdet_vitb', 'ade20k_upernet_vitb', 'in1k_finetune_vitb')
#: What is no setting of a config: arguments in Python, a part of a config.
_OTHERS = ("part='vit'", 'weights_only=False', "backbone=dict(type='mae_transfer.ViT', arch='base', ...)")
SETTINGS = sorted({line.strip('"') for line in re.findall(r'`("?[a-z][\w.]*=[^`]+)`', TEXT)} - {*_OTHERS})
#: What people asked in public, the words that one of them would type, and the pages that answer.
READER = [
    ('mae#2: MAE weights in detection', 'mae weights mask rcnn', {'questions', 'weights', 'overview', 'first_project'}),
    ('mmcv#3310: OpenMMLab does not install', 'No module named mmcv._ext', {'questions', 'overview'}),
    ('dinov3#112: DINOv3 as a backbone', 'dinov3 backbone detection', {'questions', 'starts'}),
    ('mmpretrain#1811: NaN after days', 'loss nan', {'questions', 'reliability'}),
    ('mae#95: a small set of own images', 'small dataset', {'questions', 'own_data'}),
    ('mae#179: grey images', 'grayscale images', {'questions', 'own_data'}),
    ('mae#108: images that are not square', 'non-square images', {'questions', 'own_data'}),
    ('mae#71: when to stop', 'when to stop pre-training', {'questions', 'is_it_learning'}),
    ('MAE-pytorch#100: the loader starves the GPU', 'data loader slow', {'questions', 'performance'}),
    ('detectron2#4496: ViTDet does not fit', 'cuda out of memory', {'questions', 'scaling'}),
    ('mmengine#1520: resuming exactly', 'resume training', {'questions', 'reliability'}),
    ('mmdetection#4835: a checkpoint cut short', 'corrupted checkpoint', {'questions', 'reliability'}),
]


def test_questions_are_questions_with_short_answers_and_sources():
    assert len(QUESTIONS) >= 25
    for question, answer in QUESTIONS:
        prose = re.sub(r'```.*?```', '', answer, flags=re.DOTALL)
        said, found, asked = prose.partition('Asked in ')
        assert question.count('?') == 1, question
        assert 2 <= len(re.findall(r'[.?](?=\s|$)', said.strip())) <= 6, question
        assert found and re.fullmatch(r'[\w-]+#\d+(, [\w-]+#\d+)*\.', asked.strip()), question


def test_the_list_at_the_top_has_every_question_in_order():
    assert re.findall(r'^- \[(.+)\]\(#\S+\)$', TEXT, re.MULTILINE) == [question for question, _ in QUESTIONS]


@pytest.mark.parametrize('setting', SETTINGS)
def test_a_setting_that_is_named_exists(setting):
    faults, words = [], re.findall(r'(?:[^\s(]|\([^)]*\))+', setting)
    for name in CONFIGS:
        try:
            check_settings(read_config(REPOSITORY / 'configs' / f'{name}.py', words))
        except UserError as error:
            faults.append(str(error))
    assert len(faults) < len(CONFIGS), faults


def table_of_hits(site) -> list[tuple[str, str, list[str]]]:
    """(question, words, the first three pages that the site's search finds for them)."""
    with open_browser() as browser:
        page = browser.new_page()
        assert search(page, site, 'xylophonquark') == []
        hits = [(asked, words, search(page, site, words)[:3]) for asked, words, _ in READER]
    return [(asked, words, [page.partition('.html')[0] for _, page in found]) for asked, words, found in hits]


def check_reader(site) -> None:
    """Raise unless each question is answered by one of the first three hits; print them."""
    table = table_of_hits(site)
    for asked, words, pages in table:
        print(f'{asked} | {words} | {", ".join(pages)}')
    lost = [asked for (asked, _, pages), (*_, answers) in zip(table, READER) if not answers & set(pages)]
    assert not lost, lost


def test_a_reader_finds_the_answer_among_the_first_three_hits(guides):
    check_reader(guides)


@pytest.mark.slow
def test_a_reader_finds_the_answer_in_the_whole_site(whole_site):
    check_reader(whole_site)
