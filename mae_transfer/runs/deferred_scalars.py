"""Values for the log that stay on the device until a line is made, so that no step waits for the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import MessageHub
from torch import Tensor

#: Entries that wait at most: each keeps a tensor on the device.
_MOST = 1000


class DeferredScalars:
    """Scalar tensors for a message hub, copied without waiting for them, and handed over together.

    Every process must add the same names at the same steps and settle at the same places: values may be averaged over
    the processes. What the hub then has is what it had if each value were handed over at once.

    Args:
        hub: gets the values.
        waits: whether values wait for :meth:`settle`; otherwise each is handed over at once.
    """

    def __init__(self, hub: MessageHub, waits: bool = True) -> None:
        self.hub, self.waits = hub, waits
        self._waiting: list[tuple[tuple[str, ...], Tensor, bool]] = []

    def add(self, scalars: Mapping[str, Tensor], average: bool = False) -> None:
        """Keep a copy of these values.

        Args:
            scalars: {name in the hub, such as 'train/loss': tensor of one element}.
            average: hand over the mean over the processes in place of this process's value.
        """
        if not scalars:
            return
        devices = {value.device for value in scalars.values()}
        device = next((device for device in devices if device.type != 'cpu'), torch.device('cpu'))
        # float64 has every value of the narrower types. A copy, because what is logged may be changed in place.
        values = [value.detach().reshape(()).to(device, torch.float64) for value in scalars.values()]
        self._waiting.append((tuple(scalars), torch.stack(values), average and get_world_size() > 1))
        if not self.waits or len(self._waiting) >= _MOST:
            self.settle()

    def settle(self) -> None:
        """Hand all values over to the hub, in their order; this waits for the device once."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        device = next((values.device for _, values, _ in waiting if values.device.type != 'cpu'), torch.device('cpu'))
        found = {
            average: iter(_read([values.to(device) for _, values, own in waiting if own == average], average))
            for average in (False, True)
        }
        for names, _, average in waiting:
            for name in names:
                self.hub.update_scalar(name, next(found[average]))


def _read(parts: list[Tensor], average: bool) -> list[float]:
    """The values of 1-D tensors, one after the other."""
    if not parts:
        return []
    values = torch.cat(parts)
    if average:
        all_reduce(values, op='mean')
    return values.tolist()
