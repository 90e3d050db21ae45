"""A training step of MAE, ours and other projects' on the same work: built, compared, timed."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..compat.package_configs import config_path
from ..errors import CheckpointError, UserError
from ..pretraining import MAE
from ..progress import progress
from ..registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from ..settings import change_settings, read_config
from ..vit.sizes import resolve_size
from ..vit.weights.checkpoint import read_weights
from ..vit.weights.layouts import from_canonical
from .backbones import Setup
from .peak_memory import bytes_of, peak_of
from .pretrain_peers import PRETRAIN_PEERS
from .processes import GB
from .ratios import in_turns

OURS = 'ours'
TOLERANCE = 1e-5
CONFIG = '_base_/mae_pretrain.py'


@dataclass(frozen=True)
class Work:
    """What is computed.

    Args:
        setup: how it is measured, with the ViT's ``arch``, the batch and the precision.
        image_size: side of the images in pixels.
        decoder: width, depth and heads of the decoder.
    """

    setup: Setup
    image_size: int = 224
    decoder: str = '512x8x16'

    def config(self) -> Config:
        """Our pre-training of these sizes: the base of all our configs of MAE.

        Raises:
            UserError: sizes that are not possible.
        """
        decoder = resolve_size(self.decoder)
        sizes = dict(embed_dim=decoder.embed_dim, depth=decoder.depth, num_heads=decoder.num_heads)
        return change_settings(
            read_config(config_path(CONFIG)),
            [
                ('arch', self.setup.arch),
                ('image_size', self.image_size),
                ('optim_wrapper.dtype', str(self.setup.dtype).removeprefix('torch.')),
                *((f'model.decoder.{name}', value) for name, value in sizes.items()),
            ],
        )

    def smallest(self) -> Work:
        """The same at a size that costs nothing."""
        small = replace(self.setup, arch='16x1x2', batch=1, compiles=False)
        return replace(self, setup=small, image_size=64, decoder='16x1x2')

    def images(self) -> Tensor:
        """Random images, the same at every call."""
        torch.manual_seed(1)
        return torch.randn(self.setup.batch, 3, self.image_size, self.image_size).to(self.setup.device)


class Side:
    """One project's training step.

    Args:
        name: a key of :data:`~mae_transfer.benchmarks.pretrain_peers.PRETRAIN_PEERS`, or 'ours'. Ours has the optimiser
            of the config, and its check that the gradients are finite; a peer has ``torch.optim.AdamW`` with the
            same numbers and otherwise the defaults, as the projects' training scripts build it.
        work: what is computed.
    """

    def __init__(self, name: str, work: Work):
        cfg, setup = work.config(), work.setup
        self.model: nn.Module = build_ours(cfg) if name == OURS else PRETRAIN_PEERS[name].build(sizes_of(cfg))
        self.model.to(setup.device).train()
        self.setup, self.wrapper = setup, None
        if name == OURS:
            self.wrapper = our_optimizer(self.model, cfg)
            self.seeds = torch.arange(setup.batch, device=setup.device)
        else:
            trained = [weight for weight in self.model.parameters() if weight.requires_grad]
            numbers = {key: cfg.optim_wrapper.optimizer[key] for key in ('betas', 'weight_decay')}
            self.optimizer = torch.optim.AdamW(trained, lr=cfg.base_lr, **numbers)
        if setup.compiles:
            self.model.forward = torch.compile(self.model.forward)  # type: ignore[method-assign]

    def forward_backward(self, images: Tensor) -> None:
        """The forward pass under autocast, and the backward pass."""
        with autocast(self.setup):
            loss = self.model(images) if self.wrapper is None else self.model(images, self.seeds)['loss']
        if self.wrapper is None:
            loss.backward()
        else:
            self.wrapper.backward(loss)

    def update(self) -> None:
        """The optimiser's step; the gradients are gone after it."""
        optimizer = self.optimizer if self.wrapper is None else self.wrapper
        optimizer.step()
        optimizer.zero_grad()


def autocast(setup: Setup) -> torch.autocast:
    """The context of a forward pass; float32 is none."""
    return torch.autocast(setup.device, setup.dtype, enabled=setup.dtype != torch.float32)


def build_ours(cfg: Config) -> MAE:
    """Our MAE of a config, with weights from seed 0."""
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def sizes_of(cfg: Config) -> MAE:
    """Our MAE of a config without its weights, for its sizes."""
    with torch.device('meta'):
        return build_ours(cfg)


def our_optimizer(model: nn.Module, cfg: Config) -> Any:
    """The optimiser wrapper of a config, with the learning rate of 256 images."""
    settings = cfg.optim_wrapper.to_dict()
    constructor = dict(type=settings.pop('constructor'), paramwise_cfg=settings.pop('paramwise_cfg'))
    settings['optimizer']['lr'] = cfg.base_lr
    before = logging.root.manager.disable
    logging.disable(logging.INFO)  # the groups of parameters, of every process that measures
    try:
        return OPTIM_WRAPPER_CONSTRUCTORS.build(dict(constructor, optim_wrapper_cfg=settings))(model)
    finally:
        logging.disable(before)


def randomize(model: nn.Module) -> None:
    """Make weights that start as zeros or ones random, too: these would hide a mistake in their use."""
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad and (weight.ndim == 1 or len(weight) == 1):
                weight.add_(torch.randn_like(weight), alpha=0.1)


def load_theirs(ours: MAE, name: str, theirs: nn.Module) -> None:
    """Load a peer's weights into ours.

    Raises:
        CheckpointError: they do not make up the same model.
    """
    weights = read_weights(PRETRAIN_PEERS[name].names(theirs.state_dict()))
    state = from_canonical(weights.encoder, weights.decoder, 'mae_transfer')
    try:
        found = ours.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(str(error).strip().splitlines()[-1].strip()) from error
    missing = [key for key in found.missing_keys if key.startswith(('vit.', 'decoder.'))]
    if missing or found.unexpected_keys or weights.other:
        raise CheckpointError(f"'{[*missing, *found.unexpected_keys, *weights.other][0]}' is in one of the two alone")


def losses(name: str, work: Work, *dtypes: torch.dtype) -> list[tuple[float, float]]:
    """The losses of ours and of a peer, of the same weights, images and mask, in each precision.

    Raises:
        CheckpointError: the peer's weights do not make up the same model.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device, ours = work.setup.device, build_ours(work.config())
    theirs = PRETRAIN_PEERS[name].build(ours)
    randomize(theirs)
    load_theirs(ours, name, theirs)
    ours, theirs, images = ours.to(device).train(), theirs.to(device).train(), work.images()
    noise = torch.rand(len(images), ours.masking.noise_length(ours.vit.grid)).to(device)
    found = []
    for dtype in dtypes:
        with torch.no_grad(), autocast(replace(work.setup, dtype=dtype)):
            found.append((ours(images, noise=noise)['loss'].item(), theirs(images, noise).item()))
    return found


def check_same_loss(name: str, work: Work) -> dict[str, float] | str:
    """Check that a peer computes what ours does, before anything is timed.

    Returns:
        {precision: difference of the losses}, for float32 and bfloat16; or why they cannot be compared.

    Raises:
        UserError: the losses in float32 differ by more than :data:`TOLERANCE`.
    """
    dtypes = [torch.float32, torch.bfloat16]
    # Two images show it, and of a large batch the peers' scores of all pairs may not fit.
    small = replace(work, setup=replace(work.setup, batch=2))
    try:
        pairs = work.setup.run_isolated(losses, name, small, *dtypes)
    except CheckpointError as error:
        return f'not compared: {error}'
    except MemoryError:
        return 'not compared: does not fit'
    ours, theirs = pairs[0]
    if not abs(ours - theirs) <= TOLERANCE:
        raise UserError(
            f'{name} computes something else than ours: with the same weights, images and mask its loss is '
            f'{theirs:.7f}, ours {ours:.7f}; a difference of {TOLERANCE:.0e} is allowed. Nothing was timed'
        )
    return {str(dtype).removeprefix('torch.'): abs(one - other) for dtype, (one, other) in zip(dtypes, pairs)}


def side_memory(name: str, work: Work) -> float:
    """GB of the weights, and of what two steps add at their peak: gradients, moments, and what backward needs."""
    # The first is small: a process's first computation also loads code and allocates the libraries' buffers.
    for each in (work.smallest(), work):
        side, images = Side(name, each), each.images()

        def steps(side: Side = side, images: Tensor = images) -> None:
            for _ in range(2):
                side.forward_backward(images)
                side.update()

        added = peak_of(steps, work.setup.device)
    return (added + bytes_of([*side.model.parameters(), *side.model.buffers()])) / GB


def matrix_sizes(device: str) -> tuple[int, ...]:
    """Sides of the square matrices of which the fastest product is taken."""
    return (512, 1024, 2048) if device == 'cpu' else (4096, 8192, 16384)


def step_times(names: list[str], work: Work) -> tuple[dict[str, list[float]], dict[str, list[float]], float]:
    """Let the sides take turns, and matrix products after them in every round.

    Returns:
        {side: seconds of forward and backward in each round}; {side: seconds of whole steps}; FLOP/s of the fastest
        matrix product, in the same precision and by its median.
    """
    setup, images = work.setup, work.images()
    sides = {name: Side(name, work) for name in names}
    found = {name: [] for name in names}  # type: dict[str, list[tuple[float, float]]]
    products: dict[int, list[float]] = {size: [] for size in matrix_sizes(setup.device)}
    for number in progress(range(setup.warm_up + setup.rounds), 'rounds measured'):
        for name in in_turns(names, number):
            found[name].append(_timed_step(sides[name], images))
        for size, seconds in products.items():
            seconds.append(_timed_product(size, setup))
    passes = {name: [pair[0] for pair in pairs[setup.warm_up :]] for name, pairs in found.items()}
    whole = {name: [pair[1] for pair in pairs[setup.warm_up :]] for name, pairs in found.items()}
    rate = max(2 * size**3 / median(seconds[setup.warm_up :]) for size, seconds in products.items())
    return passes, whole, rate


def _timed_step(side: Side, images: Tensor) -> tuple[float, float]:
    """Seconds of forward and backward, and of a whole step."""
    start = _now(images)
    side.forward_backward(images)
    middle = _now(images)
    side.update()
    if images.is_cuda:
        # Waiting in the middle of a step keeps the GPU idle while the update is launched: time another one.
        start, passes = _now(images), middle - start
        side.forward_backward(images)
        side.update()
        return passes, _now(images) - start
    return middle - start, _now(images) - start


def _timed_product(size: int, setup: Setup) -> float:
    """Seconds of the product of two square matrices."""
    one = torch.randn(size, size, device=setup.device).to(setup.dtype)
    start = _now(one)
    torch.mm(one, one)
    return _now(one) - start


def _now(of: Tensor) -> float:
    """The time at which all that was asked of a tensor's device is computed."""
    if of.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()
