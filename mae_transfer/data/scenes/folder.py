"""The folder of generated scenes: with what it was made, and that it holds no other data; the command that fills it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ...paths import user_path

SETTINGS_FILE = 'scenes.json'


class SceneFolder:
    """A folder that a generator of scenes fills.

    Its ``scenes.json`` says which tool wrote it with which settings, and whether the tool came to its end.

    Args:
        out: the folder; ``~`` is the home folder.
        tool: the generator's module.
        version: of the generator; another one gives other scenes for the same settings.
        settings: of the generator; numbers.
        files: every file that a run with given settings writes, relative to the folder, without ``scenes.json``.
        folders: the folders directly below ``out`` that the tool may write.
        facts: what else ``scenes.json`` is to say, such as the classes.

    Raises:
        ValueError: ``out`` is empty or a URL.
    """

    def __init__(
        self,
        out: str | os.PathLike,
        tool: str,
        version: int,
        settings: dict[str, int],
        files: Callable[[dict[str, int]], Iterable[Path]],
        folders: tuple[str, ...],
        facts: dict[str, Any],
    ) -> None:
        if not os.fspath(out):
            raise ValueError('OUT is empty; give a folder to write the scenes to')
        self.out, self.tool, self.version = user_path(out, 'out'), tool, version
        self.settings, self.files, self.folders, self.facts = settings, files, folders, facts

    def prepare(self, force: bool) -> bool:
        """Make the folders, without files of an earlier run.

        Args:
            force: replace scenes that were made with other settings. Only files that the tool wrote are removed.

        Returns:
            False if the scenes are there already, made with the same settings.

        Raises:
            FileExistsError: scenes made with other settings (unless ``force``), or data that the tool did not write.
        """
        found = self._found()
        if found is not None:
            same = found['settings'] == self.settings and found['version'] == self.version
            if same and found['complete'] and not force:
                return False
            if not same and not force:
                raise FileExistsError(
                    f'{self.out} contains scenes made with other settings ({self._differences(found)}); '
                    'choose another folder, or replace them with --force'
                )
            for path in self.files(found['settings']):
                (self.out / path).unlink(missing_ok=True)
        for folder in {path.parent for path in self.files(self.settings)} | {Path('.')}:
            (self.out / folder).mkdir(parents=True, exist_ok=True)
        # Marked as incomplete first: after an interrupted run the next one recognises its files and starts over.
        self._write(complete=False)
        return True

    def finish(self) -> None:
        """Say that all scenes are written."""
        self._write(complete=True)

    def _found(self) -> dict | None:
        if self.out.exists() and not self.out.is_dir():
            raise FileExistsError(f'{self.out} is a file; give a folder to write the scenes to')
        path = self.out / SETTINGS_FILE
        if path.exists():
            try:
                found = json.loads(path.read_text())
                if found['tool'] == self.tool and set(found) >= {'version', 'settings', 'complete'}:
                    return found
            except (ValueError, KeyError, TypeError):
                pass
            raise FileExistsError(f'{path} was not written by {self.tool}; choose another folder')
        foreign = [name for name in self.folders if (self.out / name).exists()]
        if foreign:
            # It could be a real data set; not even --force may remove it.
            raise FileExistsError(
                f'{self.out} contains {", ".join(foreign)} but no {SETTINGS_FILE}, so {self.tool} did not write them; '
                'choose another folder'
            )
        return None

    def _write(self, complete: bool) -> None:
        content = dict(tool=self.tool, version=self.version, complete=complete, settings=self.settings, **self.facts)
        (self.out / SETTINGS_FILE).write_text(json.dumps(content, indent=1) + '\n')

    def _differences(self, found: dict) -> str:
        old = dict(found['settings'], version=found['version'])
        new = dict(self.settings, version=self.version)
        return ', '.join(
            f'{name}: found {old.get(name)}, requested {new[name]}' for name in new if old.get(name) != new[name]
        )


def check_settings(settings: dict[str, int], min_size: int) -> None:
    """Check the numbers of a generator.

    Raises:
        ValueError: ``size`` is below ``min_size``, another number below 0.
    """
    for name, value in settings.items():
        least = min_size if name == 'size' else 0
        if value < least:
            raise ValueError(f'{name} is {value}; it must be at least {least}')


def run_generator(name: str, write: Callable[[], bool], out: str, what: str) -> int:
    """Write scenes for a command line.

    Args:
        name: of the tool, which begins the line of an error.
        write: writes the scenes; False if they were there already.
        out: the folder.
        what: what was written, for the last line.

    Returns:
        The exit code: 0 if the scenes exist now, 2 after an error, one line on stderr.
    """
    start = time.perf_counter()
    try:
        written = write()
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.strerror:  # raised by the file system, not by a generator
            print(f'{name}: cannot write {error.filename}: {error.strerror}', file=sys.stderr)
        else:
            print(f'{name}: {error}', file=sys.stderr)
        return 2
    if written:
        print(f'{what} written to {out} in {time.perf_counter() - start:.1f} s')
    else:
        print(f'already written: {out}')
    return 0
