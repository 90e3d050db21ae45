"""One short run of each task for all files here."""

import pytest

from tests.helpers import forget_instances
from tests.inference.runs import short_run


@pytest.fixture(scope='session')
def runs(tmp_path_factory):
    """``runs(task)``: the work_dir of a run of a task, trained when it is first asked for."""
    known = {}

    def run(task):
        if task not in known:
            known[task] = short_run(task, tmp_path_factory.mktemp(task)).work_dir
            forget_instances()
        return known[task]

    return run
