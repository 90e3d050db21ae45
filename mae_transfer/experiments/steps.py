"""Running commands in stages, with a display of the progress and the time left.

PyTorch is not imported here, so that the first progress appears at once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .tool_runs import package_file

PROGRESS = re.compile(r'(?:Epoch|Iter)\((?:train|test)\)\s*(?:\[(\d+)\])?\[\s*(\d+)/(\d+)\].*?(loss: [\d.]+)?')


@dataclass
class Step:
    """One command.

    Args:
        name: shown with the progress and in error messages.
        command: arguments of the Python interpreter.
        seconds: expected duration; only the proportions between steps matter, for the time left.
        epochs: number of epochs of a training, to read its progress from the log; 1 where the log counts iterations.
        pictures: folder whose new pictures are told of as they come; None for none.

    Attributes:
        took: duration in seconds, once it has ended.
        share: the part that is done, 0 to 1.
        latest: the last loss in the log, or 'testing'.
        drawn: the pictures that came, with the seconds since the start of the pipeline.
    """

    name: str
    command: list[str]
    seconds: float
    epochs: int = 1
    pictures: Path | None = None
    took: float = field(default=0.0, init=False)
    share: float = field(default=0.0, init=False)
    latest: str = field(default='', init=False)
    drawn: dict[Path, float] = field(default_factory=dict, init=False)

    def __str__(self) -> str:
        """The command as a user would type it; tools are executable."""
        interpreter = [] if self.command[0].endswith('.py') else [package_file('tools', 'python')]
        return ' '.join([*interpreter, *self.command])


@dataclass
class Stage:
    """A stage of a pipeline.

    Args:
        title: what the stage does, for the display.
        lanes: lists of steps; the steps of a lane run one after the other, the lanes at the same time.
    """

    title: str
    lanes: list[list[Step]]

    @property
    def steps(self) -> list[Step]:
        """The steps of all lanes."""
        return [step for lane in self.lanes for step in lane]

    @property
    def seconds(self) -> float:
        """Expected duration: that of the longest lane."""
        return max(sum(step.seconds for step in lane) for lane in self.lanes)

    @property
    def share(self) -> float:
        """The part of the stage that is done, 0 to 1: that of the lane that is furthest behind."""
        shares = []
        for lane in self.lanes:
            done = sum(step.share * step.seconds for step in lane)
            shares.append(done / sum(step.seconds for step in lane))
        return min(shares)

    @property
    def threads(self) -> int:
        """Number of threads for each command: lanes share the cores; a single lane gets half of them.

        More threads than cores would slow each other down.
        """
        cores = os.cpu_count() or 1
        return max(1, cores // max(2, len(self.lanes)))


class Pipeline:
    """Runs stages one after the other, and prints the progress and the time left for all of them.

    Args:
        stages: the stages, in their order.
        logs: folder for the output of each step: ``01.log``, ``02.log``, ...
    """

    def __init__(self, stages: list[Stage], logs: Path):
        self.stages, self.logs = stages, logs
        self.started = time.monotonic()
        self.tty = sys.stdout.isatty()
        self.lock = threading.Lock()
        self.shown = 0.0  # when the progress was last printed
        self.failed: list[tuple[Step, Path, int]] = []  # step, log file, exit code

    @property
    def steps(self) -> list[Step]:
        """The steps of all stages."""
        return [step for stage in self.stages for step in stage.steps]

    def run(self) -> None:
        """Run all stages. After a step that fails, print the end of its log and exit with its exit code."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for number, stage in enumerate(self.stages, 1):
            print(f'\n[{number}/{len(self.stages)}] {stage.title}', flush=True)
            for step in stage.steps:
                print(f'    $ {step}', flush=True)
            lanes = [threading.Thread(target=self._run_lane, args=(stage, lane)) for lane in stage.lanes]
            start = time.monotonic()
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            if self.failed:
                step, log, code = self.failed[0]
                end = '\n'.join(log.read_text(errors='replace').splitlines()[-15:])
                print(f"\nerror: '{step.name}' ended with exit code {code}; the end of {log}:\n{end}", file=sys.stderr)
                sys.exit(code)
            self._show(stage, f'done in {time.monotonic() - start:.0f} s', end=True)

    def _run_lane(self, stage: Stage, lane: list[Step]) -> None:
        for step in lane:
            log, start = self.logs / f'{self.steps.index(step) + 1:02d}.log', time.monotonic()
            if code := self._run_step(stage, step, log):
                self.failed.append((step, log, code))
                return
            step.took, step.share = time.monotonic() - start, 1.0

    def _run_step(self, stage: Stage, step: Step, log: Path) -> int:
        environment = {'OMP_NUM_THREADS': str(stage.threads), **os.environ}
        before = _times_of(step.pictures)
        with open(log, 'w') as file:
            process = subprocess.Popen(
                [sys.executable, *step.command],
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                self._tell_pictures(step, before)
                if found := PROGRESS.search(line):
                    epoch, done, total = int(found[1] or 1), int(found[2]), int(found[3])
                    step.share = min(1.0, (epoch - 1 + done / total) / step.epochs)
                    loss = re.search(r'\bloss: [\d.]+', line)
                    step.latest = loss[0] if loss else 'testing'
                    # A line every few seconds is enough where the output goes to a file.
                    if time.monotonic() - self.shown > (1 if self.tty else 15):
                        self._show(stage, '; '.join(f'{one.name} {one.latest}' for one in self._running(stage)))
            code = process.wait()
            self._tell_pictures(step, before)
            return code

    def _tell_pictures(self, step: Step, before: dict[Path, int]) -> None:
        for path, written in _times_of(step.pictures).items():
            if path not in step.drawn and before.get(path) != written:
                step.drawn[path] = time.monotonic() - self.started
                with self.lock:
                    text = f'    picture after {step.drawn[path]:.0f} s: {path}'
                    print(f'\r{text:<110}' if self.tty else text, flush=True)

    @staticmethod
    def _running(stage: Stage) -> Iterator[Step]:
        return (step for step in stage.steps if 0 < step.share < 1)

    def _show(self, stage: Stage, what: str, end: bool = False) -> None:
        with self.lock:
            self.shown = time.monotonic()
            done = sum(one.seconds for one in self.stages[: self.stages.index(stage)]) + stage.share * stage.seconds
            whole = sum(one.seconds for one in self.stages)
            left = (self.shown - self.started) / max(done, 1e-9) * (whole - done)
            bar = '#' * round(20 * stage.share)
            text = f'    [{bar:<20}] {stage.share:4.0%}  all: {left / 60:.1f} min left  {what}'
            print(f'\r{text:<110}' if self.tty else text, end='\n' if end or not self.tty else '', flush=True)


def _times_of(folder: Path | None) -> dict[Path, int]:
    """The pictures of a folder, the oldest first, with the times of their last change in nanoseconds."""
    files = [] if folder is None or not folder.is_dir() else list(folder.glob('*.png'))
    return dict(sorted(((file, file.stat().st_mtime_ns) for file in files), key=lambda entry: entry[1]))
