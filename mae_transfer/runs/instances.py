"""Several runs in one process: each has its own loggers, message hub and visualizer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.utils import ManagerMixin


@contextmanager
def own_instances() -> Iterator[None]:
    """Let what is built within it have loggers, message hubs, visualizers and default scopes of its own.

    MMEngine keeps one of each name in a process. A run's name is its config and the second of its start; the
    visualizers of MMDetection and MMSegmentation have one name in every run. So a second run would write into the files
    of the first, and begin with its message hub, which knows best values and checkpoints. Those of before are there
    again afterwards.
    """
    # `_instance_dict` is private to MMEngine's ManagerMixin, which has no public way to forget an instance.
    before = {owner: dict(owner._instance_dict) for owner in _owners(ManagerMixin)}
    for owner in before:
        owner._instance_dict.clear()
    try:
        yield
    finally:
        for owner in _owners(ManagerMixin):  # some were imported in between
            for instance in owner._instance_dict.values():
                if isinstance(instance, logging.Logger):
                    _close_files(instance)
            owner._instance_dict.clear()
            owner._instance_dict.update(before.get(owner, {}))


def _owners(kind: type) -> Iterator[Any]:
    """The classes that derive from one, each of which keeps instances."""
    for owner in kind.__subclasses__():
        yield owner
        yield from _owners(owner)


def _close_files(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.close()
