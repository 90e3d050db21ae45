"""The names that configs use are found from any scope, also those that are imported late."""

import sys

import pytest
from mmengine import registry as root

from mae_transfer import registry


@pytest.mark.parametrize(
    'child, parent, name',
    [
        (registry.DATASETS, root.DATASETS, 'CocoImages'),
        (registry.DATASETS, root.DATASETS, 'LabelledScenes'),
        (registry.METRICS, root.METRICS, 'CocoAP'),
    ],
)
def test_late_names(child, parent, name):
    found = getattr(sys.modules[child.get(name).__module__], name)
    assert child.get(name) is child.get(f'mae_transfer.{name}') is parent.get(f'mae_transfer.{name}') is found
    assert found.__module__ == child.late[name]


def test_what_is_not_registered_is_none():
    assert registry.DATASETS.get('NoSuchName') is None and registry.METRICS.get('mae_transfer.NoSuchName') is None
