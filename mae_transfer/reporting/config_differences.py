"""In which settings runs differ, and from the packaged config that they stand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..compat.package_configs import CONFIGS, PREFIX, config_path
from ..settings import read_config
from .run import Run

#: What a run sets for itself, and the seed, over which runs are averaged.
_OWN = ('work_dir', 'launcher', 'resume', 'load_from', 'experiment_name', 'randomness.seed')
_FOLLOWED = ('references', 'reference_values')


def settings_of(cfg: Config) -> dict[str, Any]:
    """The settings of a config by their dotted keys, without those that follow another."""
    follow = {*cfg.get('references', {})}
    return {
        key: value
        for key, value in _flat({name: part for name, part in cfg.to_dict().items() if name not in _FOLLOWED})
        if key not in follow and key not in _OWN
    }


def _flat(node: Any, above: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _flat(value, f'{above}.{name}' if above else str(name))
    elif isinstance(node, (list, tuple)) and any(isinstance(value, Mapping) for value in node):
        for number, value in enumerate(node):
            yield from _flat(value, f'{above}.{number}')
    else:
        yield above, list(node) if isinstance(node, tuple) else node


def differing(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """The settings in which configs differ: the value of each, None where it lacks the setting; named settings, which
    others follow, first."""
    flat = [settings_of(cfg) for cfg in configs]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    found = {key: [settings.get(key) for settings in flat] for key in keys}
    found = {key: values for key, values in found.items() if any(value != values[0] for value in values)}
    return dict(sorted(found.items(), key=lambda item: '.' in item[0]))


def packaged_config(run: Run) -> str | None:
    """The packaged config that a run is of, ``mae_transfer::NAME.py``; None if it is of another, or not known."""
    if run.record is not None and 'config' in run.record:
        named = run.record['config'] or ''
        return named if named.startswith(PREFIX) and config_path(named).is_file() else None
    # A run that recorded nothing left its config under the name of the file, which several configs may have.
    written = [path.name for path in run.found.folder.glob('*.py')]
    found = [path for path in CONFIGS.rglob('*.py') if path.name in written and '_base_' not in path.parts]
    return PREFIX + found[0].relative_to(CONFIGS).as_posix() if len(written) == len(found) == 1 else None


@cache
def packaged(name: str) -> Config:
    """A packaged config as it is; reading one takes part of a second."""
    return read_config(Path(config_path(name)))


def changed(run: Run) -> list[tuple[str, Any, Any]]:
    """The settings of a run that its packaged config has otherwise: key, the run's value, the config's."""
    name = packaged_config(run)
    if name is None or run.cfg is None:
        return []
    return [(key, *values) for key, values in differing([run.cfg, packaged(name)]).items()]
