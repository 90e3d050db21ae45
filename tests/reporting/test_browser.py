"""A report in a browser: opened from disk, it draws everything and asks for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import mae_transfer
from tests.browser import open_browser
from tests.reporting.runs import write_classifier, write_pictures


@pytest.fixture(scope='module')
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('report')
    for seed in range(2):
        run = write_classifier(folder / 'runs' / f'run {seed}', 50.0 + seed, seed)
    write_pictures(run / 'reconstructions', 'epoch_1.png', 'epoch_2.png')
    return mae_transfer.report(folder / 'runs', folder / 'report.html').path


@pytest.fixture(scope='module', params=['light', 'dark'])
def opened(report, request):
    """The open page, what it asked for, and what went wrong."""
    with open_browser() as browser:
        page = browser.new_page(color_scheme=request.param, viewport=dict(width=1200, height=800))
        requests, errors = [], []
        page.on('request', lambda sent: requests.append(sent.url))
        page.on('console', lambda said: errors.append(said.text) if said.type in ('error', 'warning') else None)
        page.on('pageerror', lambda error: errors.append(str(error)))
        page.goto(report.as_uri(), wait_until='load')
        yield page, requests, errors


def test_it_asks_for_nothing_but_itself(opened, report):
    _, requests, errors = opened
    assert [url for url in requests if not url.startswith('data:')] == [report.as_uri()] and not errors


def test_curves_and_pictures_are_drawn(opened):
    page = opened[0]
    plots, lines, pictures = page.locator('svg.plot'), page.locator('svg.plot polyline'), page.locator('img')
    assert plots.count() >= 7 and lines.count() >= plots.count() and pictures.count() == 2
    for drawn in (plots, lines):
        boxes = [drawn.nth(number).bounding_box() for number in range(drawn.count())]
        assert all(box['width'] > 0 and box['height'] >= 0 for box in boxes)
        assert sum(box['height'] > 0 for box in boxes) > len(boxes) / 2  # a learning rate that is constant is flat
    assert pictures.evaluate_all('all => all.every(one => one.complete && one.naturalWidth === 30)')


def test_no_table_or_plot_is_wider_than_the_page(opened):
    page = opened[0]
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    page.set_viewport_size(dict(width=390, height=800))
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    page.set_viewport_size(dict(width=1200, height=800))


def test_pointing_at_a_curve_tells_its_values(opened):
    page = opened[0]
    plot = page.locator('section[id^=compared] svg.plot').first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box['x'] + 0.97 * box['width'], box['y'] + 0.5 * box['height'])
    told = page.locator('#values')
    assert told.is_visible() and told.inner_text().splitlines() == ['epoch 2', 'run 0: 50', 'run 1: 51']
    page.mouse.move(2, 2)
    assert not told.is_visible()


def test_text_can_be_read_on_its_background(opened):
    """Contrast of 4.5 or more, as WCAG asks for, of words in and around plots and tables."""
    page = opened[0]
    lowest = page.evaluate(
        """() => {
          const channel = (value) => value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
          const light = (text) => text.match(/[\\d.]+/g).slice(0, 3)
            .reduce((sum, one, i) => sum + [.2126, .7152, .0722][i] * channel(one / 255), 0);
          const paper = light(getComputedStyle(document.body).backgroundColor);
          const words = document.querySelectorAll('p, td, th, dt, dd, a, figcaption, svg text');
          return Math.min(...[...words].map((word) => {
            const style = getComputedStyle(word);
            const ink = light(word instanceof SVGElement ? style.fill : style.color);
            return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
          }));
        }"""
    )
    assert lowest >= 4.5
