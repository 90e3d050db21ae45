"""The names that configs use are found from any scope, also those that are imported late."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest
from mmengine import registry as root

import mae_transfer
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


CHILDREN = [child for child in vars(registry).values() if isinstance(child, registry.LateRegistry)]


@pytest.mark.parametrize('child', CHILDREN, ids=lambda child: child.name)
def test_every_name_is_found_without_an_import(child):
    """By its room, which the registry imports, or by the list of what is imported late."""
    for module in pkgutil.walk_packages(mae_transfer.__path__, 'mae_transfer.'):
        if not module.name.startswith('mae_transfer.benchmarks'):  # compares with packages that need not be there
            import_module(module.name)
    own = {name: kind for name, kind in child.module_dict.items() if kind.__module__.startswith('mae_transfer.')}
    for name, kind in own.items():
        exported = any(vars(import_module(room)).get(kind.__name__) is kind for room in child._locations)
        assert exported or child.late.get(name) == kind.__module__, f'{name} is in no room of {child._locations}'
    assert set(child.late) <= set(own)


def test_importing_the_package_takes_little_beyond_torch():
    """The rooms are imported when a registry is asked; the time is that of the processor, the best of three."""
    code = 'import time, torch; a = time.process_time(); import mae_transfer; print(time.process_time() - a)'
    found = [
        float(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout) for _ in range(3)
    ]
    assert min(found) < 0.2
