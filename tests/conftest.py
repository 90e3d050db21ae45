"""What holds for every test."""

import pytest
from yapf.yapflib import yapf_api

from tests.helpers import forget_instances


@pytest.fixture(autouse=True, scope='session')
def configs_are_written_unformatted():
    """MMEngine pretty-prints the config of a run for its log and for every checkpoint: .4 s each time, most of a tiny
    run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, False))
        yield


@pytest.fixture(autouse=True, scope='module')
def every_file_begins_without_a_run():
    """MMEngine keeps the default scope, log and visualizer of the last run for the next one."""
    yield
    forget_instances()
