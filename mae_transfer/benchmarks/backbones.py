"""Time and peak memory of our ViT, next to another library's backbone that computes the same."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..progress import progress
from ..vit.sizes import SIZES, Size
from .peak_memory import bytes_of, peak_of
from .peers import CASES, Case
from .processes import GB, call_with_memory_limit, memory_limit, run_in_new_process
from .ratios import in_turns

TOLERANCE = 1e-4
MODES, SIDES = ('train', 'test'), ('ours', 'theirs')


@dataclass(frozen=True)
class Setup:
    """How both sides are measured.

    Args:
        arch: size of the ViT, a key of :data:`~mae_transfer.vit.sizes.SIZES`.
        batch: images per step.
        device: 'cpu' or 'cuda'.
        dtype: precision of autocast; no autocast for float32.
        rounds: measured steps of each side.
        warm_up: steps of each side before the measured ones.
        memory_limit: limit for a process in GB; None for no limit, as on a GPU.
        compiles: whether the forward passes of both sides are compiled (torch.compile) for the times.
    """

    arch: str = 'base'
    batch: int = 1
    device: str = 'cpu'
    dtype: torch.dtype = torch.float32
    rounds: int = 5
    warm_up: int = 1
    memory_limit: float | None = None
    compiles: bool = False

    def run_isolated(self, function: Callable, *arguments: Any) -> Any:
        """``function(*arguments)`` within the memory limit, on the CPU in a new process; raises as the function."""
        if self.device == 'cpu':
            return run_in_new_process(call_with_memory_limit, self.memory_limit, function, *arguments)
        return call_with_memory_limit(self.memory_limit, function, *arguments)


@dataclass
class Measurement:
    """Time and memory of a step of both sides.

    Args:
        peer: a key of :data:`~mae_transfer.benchmarks.peers.CASES`.
        size: side of the images in pixels.
        mode: 'train' or 'test'.
        ours, theirs: dicts of ``weights_GB``, ``step_GB``, their sum ``GB``, the median time ``s`` in seconds and all
            times ``all_s``; empty for a side that does not fit into memory.
    """

    peer: str
    size: int
    mode: str
    ours: dict = field(default_factory=dict)
    theirs: dict = field(default_factory=dict)

    def measure_memory(self, setup: Setup) -> None:
        """Measure the memory of both sides.

        On the CPU, call this before anything is computed in this process: a process that has computed with several
        threads cannot be forked.
        """
        for side in SIDES:
            with contextlib.suppress(MemoryError):
                weights, added = setup.run_isolated(peak_memory, self.peer, self.size, self.mode, side, setup)
                getattr(self, side).update(weights_GB=weights / GB, step_GB=added / GB, GB=(weights + added) / GB)

    def measure_time(self, setup: Setup) -> None:
        """Measure the time of the sides that fit into memory."""
        sides = [side for side in SIDES if getattr(self, side)]
        with contextlib.suppress(MemoryError), memory_limit(setup.memory_limit):
            for side, seconds in step_times(self.peer, self.size, self.mode, sides, setup).items():
                getattr(self, side).update(s=median(seconds), all_s=seconds)

    def table_row(self, limit: float | None) -> str:
        """The row of this measurement in the table that :func:`table_head` begins.

        Args:
            limit: the memory limit in GB, for a side that does not fit.
        """
        cells = [self.peer, str(self.size), self.mode]
        missing = f'does not fit in {limit:g} GB' if limit else 'does not fit'
        for unit, digits in (('s', 3), ('GB', 2)):
            ours, theirs = self.ours.get(unit), self.theirs.get(unit)
            cells += [missing if value is None else f'{value:.{digits}f}' for value in (ours, theirs)]
            cells.append('' if ours is None or theirs is None else f'{ours / theirs:.2f}')
        return f'| {" | ".join(cells)} |'


def table_head() -> str:
    """The first two lines of the table of measurements."""
    head = '| peer | pixels | step | ours, s | peer, s | ours / peer | ours, GB | peer, GB | ours / peer |'
    return f'{head}\n{"|---" * 9}|'


def make_inputs(case: Case, device: str) -> Tensor:
    """Random inputs of a case's shape, the same at every call."""
    torch.manual_seed(1)
    return torch.randn(case.inputs).to(device).requires_grad_(case.trains_inputs)


def forward(model: nn.Module, inputs: Tensor) -> tuple[Tensor, ...]:
    """The feature maps of a backbone; those of transformers are wrapped in an output object."""
    outputs = model(inputs)
    return getattr(outputs, 'feature_maps', outputs)


def sum_of_maps(maps: Sequence[Tensor]) -> Tensor:
    """The sum of all values of all maps, in float32; the loss of a train step."""
    return torch.stack([values.float().sum() for values in maps]).sum()


def step(model: nn.Module, inputs: Tensor, mode: str, dtype: torch.dtype) -> None:
    """One train or test step, waiting until it is computed."""
    with (
        torch.set_grad_enabled(mode == 'train'),
        torch.autocast(inputs.device.type, dtype, enabled=dtype != torch.float32),
    ):
        maps = forward(model, inputs)
    if mode == 'train':
        sum_of_maps(maps).backward()
        model.zero_grad()
        inputs.grad = None
    if inputs.is_cuda:
        torch.cuda.synchronize()


def gradients(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Gradients of the sum of all maps, for every trained weight."""
    sum_of_maps(forward(model, inputs)).backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def largest_differences(peer: str, size: int, setup: Setup) -> tuple[float, float]:
    """Compare what both sides compute, in float32.

    Returns:
        The largest difference of the maps; the largest difference of the gradients (on images of 128 pixels at most),
        as a ratio to the largest gradient of the same weight.

    Raises:
        UserError: the maps have different shapes, or different weights are trained.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    case = CASES[peer](SIZES[setup.arch], size, 1)
    with torch.no_grad():
        our_maps = forward(case.ours().to(setup.device), make_inputs(case, setup.device))
        their_maps = forward(case.theirs().to(setup.device), make_inputs(case, setup.device))
    our_shapes, their_shapes = ([tuple(values.shape) for values in maps] for maps in (our_maps, their_maps))
    if our_shapes != their_shapes:
        raise UserError(f'{peer} gives maps of shapes {their_shapes}, ours {our_shapes}: nothing was timed')
    of_maps = max((one - other).abs().max().item() for one, other in zip(our_maps, their_maps))

    case = CASES[peer](SIZES[setup.arch], min(size, 128), 1)
    ours = case.names(gradients(case.ours().to(setup.device), make_inputs(case, setup.device)))
    theirs = gradients(case.theirs().to(setup.device), make_inputs(case, setup.device))
    if set(ours) != set(theirs):
        example = min(set(ours) ^ set(theirs))
        raise UserError(f'{peer} trains other weights than ours, e.g. {example}: nothing was timed')
    # The gradients of the keys' biases are zero except for rounding: compare them with the gradients of other weights.
    floor = 1e-3 * max(value.abs().max() for value in theirs.values())
    of_gradients = []
    for name, value in theirs.items():
        scale = value.abs().max().clamp(min=floor)
        of_gradients.append(((ours[name] - value).abs().max() / scale).item())
    return of_maps, max(of_gradients)


def check_same_results(peer: str, size: int, setup: Setup) -> str:
    """Check that both sides compute the same, before anything is timed.

    Returns:
        One line with the differences that were found.

    Raises:
        UserError: the differences exceed :data:`TOLERANCE`.
    """
    try:
        of_maps, of_gradients = setup.run_isolated(largest_differences, peer, size, setup)
    except MemoryError:
        return f'{peer} at {size}: not compared, does not fit'
    found = f'maps differ by {of_maps:.1e} at most, gradients by {of_gradients:.1e} of the largest'
    if not max(of_maps, of_gradients) <= TOLERANCE:
        raise UserError(
            f'{peer} at {size} computes something else than ours: {found}; {TOLERANCE:.0e} is allowed. Nothing was '
            'timed'
        )
    return f'{peer} at {size}: {found}'


def peak_memory(peer: str, size: int, mode: str, side: str, setup: Setup) -> tuple[int, int]:
    """The memory of one side, 'ours' or 'theirs', in bytes.

    Returns:
        Memory of the weights and buffers; memory that the first step adds at its peak.
    """
    # The first step of a process also loads code and allocates the libraries' buffers: do not measure that.
    case = CASES[peer](Size(64, 4, 2), 32, 1)
    step(getattr(case, side)().to(setup.device), make_inputs(case, setup.device), mode, setup.dtype)

    case = CASES[peer](SIZES[setup.arch], size, setup.batch)
    model, inputs = getattr(case, side)().to(setup.device), make_inputs(case, setup.device)
    model.train(mode == 'train')
    added = peak_of(lambda: step(model, inputs, mode, setup.dtype), setup.device)
    return bytes_of([*model.parameters(), *model.buffers()]), added


def step_times(peer: str, size: int, mode: str, sides: list[str], setup: Setup) -> dict[str, list[float]]:
    """{side: seconds of each measured step}; the sides take turns, in alternating order."""
    case = CASES[peer](SIZES[setup.arch], size, setup.batch)
    models = {side: getattr(case, side)().to(setup.device) for side in sides}
    for model in models.values():
        model.train(mode == 'train')
        if setup.compiles:
            model.forward = torch.compile(model.forward)
    inputs = make_inputs(case, setup.device)
    times: dict[str, list[float]] = {side: [] for side in sides}
    for turn in progress(range(setup.warm_up + setup.rounds), f'rounds next to {peer}'):
        for side in in_turns(sides, turn):
            start = time.perf_counter()
            step(models[side], inputs, mode, setup.dtype)
            times[side].append(time.perf_counter() - start)
    return {side: seconds[setup.warm_up :] for side, seconds in times.items()}
