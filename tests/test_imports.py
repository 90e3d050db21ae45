"""Imports between the rooms of the package point one way."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import mae_transfer

PACKAGE = Path(mae_transfer.__file__).parent
#: Single modules that every room may import.
BASE = {'errors', 'first_bytes', 'kinds', 'paths', 'processes', 'progress', 'registry', 'version', 'whole_files'}


def imported(file: Path) -> set[str]:
    """The modules and names that a file of the package imports, in full; also those within functions."""
    package = ['mae_transfer', *file.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*parents, *([node.module] if node.module else [])])
            found |= {module, *(f'{module}.{alias.name}' for alias in node.names)}
    return found


def rooms() -> dict[str, set[str]]:
    """{room, a package or a module at the top: the other rooms that it imports}."""
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == '.py' or (path / '__init__.py').is_file()}
    graph: dict[str, set[str]] = {name: set() for name in names - {'__init__'}}
    for file in PACKAGE.rglob('*.py'):
        if '.mim' in file.parts or file == PACKAGE / '__init__.py':
            continue
        room = file.relative_to(PACKAGE).parts[0].removesuffix('.py')
        parts = (name.split('.') for name in imported(file))
        graph[room] |= {
            part[1] for part in parts if part[0] == 'mae_transfer' and len(part) > 1 and part[1] in graph
        } - {room}
    return graph


def rooms_of_data() -> dict[str, set[str]]:
    """{room of ``data/``, or a command there: the other ones that it imports}; without ``__init__``."""
    graph: dict[str, set[str]] = {}
    for module, modules in files().items():
        if module.startswith('mae_transfer.data.'):
            room = module.split('.')[2]
            found = {name.split('.')[2] for name in modules if name.startswith('mae_transfer.data.')}
            graph[room] = graph.get(room, set()) | (found - {room})
    return graph


def files() -> dict[str, set[str]]:
    """{module: the other modules that it imports}, without the packages' own ``__init__``."""
    paths = [path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts and path.name != '__init__.py']
    names = {path: '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts) for path in paths}
    return {names[path]: imported(path) & set(names.values()) for path in paths}


def test_no_two_files_import_each_other():
    found = files()
    assert len([*TopologicalSorter(found).static_order()]) == len(found) > 100  # raises CycleError


def test_there_are_no_circles_of_rooms():
    order = list(TopologicalSorter(rooms()).static_order())  # raises CycleError
    places = [order.index(room) for room in ('vit', 'pretraining', 'classify', 'launch', 'api', 'command')]
    assert places == sorted(places)


def test_the_vit_knows_no_task_and_the_data_no_model():
    assert rooms()['vit'] <= BASE and rooms()['data'] <= BASE


def test_the_rooms_of_the_data_build_on_files():
    assert rooms_of_data() == {
        'files': set(),
        'photos': {'files', 'seeds'},
        'label_maps': {'dense_items', 'files'},
        'coco': {'dense_items', 'files', 'label_maps'},
        'scenes': set(),
        'seeds': set(),
        'dense_items': {'files', 'seeds'},
        'samplers': {'seeds'},
        # Commands: python -m mae_transfer.data.NAME.
        'statistics': {'files'},
        'band_scenes': {'scenes'},
    }


def test_no_room_imports_a_tool():
    tools = {path.stem for path in (PACKAGE.parent / 'tools').glob('*.py')}
    for file in PACKAGE.rglob('*.py'):
        roots = {name.split('.')[0] for name in imported(file)}
        assert not roots & (tools | {'tools', 'tests'}), file
