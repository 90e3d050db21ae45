"""The site, built once."""

from __future__ import annotations

import pytest

from tests.docs.site import build


@pytest.fixture(scope='session')
def guides(tmp_path_factory):
    """The site without the reference's contents, for which nothing of the package is imported."""
    return build(tmp_path_factory.mktemp('guides'), '-t', 'guides')


@pytest.fixture(scope='session')
def whole_site(tmp_path_factory):
    """The site as it is published."""
    return build(tmp_path_factory.mktemp('whole'))
