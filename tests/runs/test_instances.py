"""Several runs in one process have loggers and visualizers of their own."""

import logging

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from mae_transfer.runs.instances import own_instances


class OwnVisualizer(Visualizer):
    """As MMDetection's and MMSegmentation's, which keep instances apart from their base class."""


def test_within_are_new_ones_and_afterwards_those_of_before(tmp_path):
    before = [kind.get_instance('visualizer') for kind in (MessageHub, Visualizer, OwnVisualizer)]
    logger = MMLogger.get_instance('run', log_file=str(tmp_path / 'before.log'))
    scopes = dict(DefaultScope._instance_dict)
    with pytest.raises(ZeroDivisionError), own_instances():
        within = [kind.get_instance('visualizer') for kind in (MessageHub, Visualizer, OwnVisualizer)]
        assert not any(one is other for one, other in zip(before, within))
        inner = MMLogger.get_instance('run', log_file=str(tmp_path / 'within.log'))
        inner.info('within')
        DefaultScope.get_instance('run', scope_name='mmdet')
        raise ZeroDivisionError
    assert [kind.get_instance('visualizer') for kind in (MessageHub, Visualizer, OwnVisualizer)] == before
    assert MMLogger.get_instance('run') is logger and dict(DefaultScope._instance_dict) == scopes
    assert all(handler.stream is None for handler in inner.handlers if isinstance(handler, logging.FileHandler))
    logger.info('after')
    assert 'after' in (tmp_path / 'before.log').read_text() and 'within' not in (tmp_path / 'before.log').read_text()
