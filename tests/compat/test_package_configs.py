"""The package's configs, found by the package's name from any folder."""

from __future__ import annotations

import pytest

from mae_transfer.compat.package_configs import CONFIGS, find_config
from mae_transfer.errors import UserError


def test_a_config_is_found_by_its_path_or_by_the_packages_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own.py').touch()
    assert find_config(tmp_path / 'own.py') == find_config(str(tmp_path / 'own.py')) == tmp_path / 'own.py'
    assert find_config('mae_transfer::small/knn_tin20.py') == CONFIGS / 'small' / 'knn_tin20.py'


@pytest.mark.parametrize('name', ['nothing.py', 'mae_transfer::nothing.py'])
def test_a_missing_config_is_refused(name):
    with pytest.raises(UserError, match=f'^config {name} does not exist; the configs are in configs/$'):
        find_config(name)
    with pytest.raises(UserError, match=f'^--scale: config {name} does not exist'):
        find_config(name, '--scale')
