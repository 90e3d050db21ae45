"""What takes the place of objects in a file that are not read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any


class WouldRun(pickle.UnpicklingError):
    """A file asks for a function that could run anything; the message is its name."""


class StandIn:
    """Takes the place of a class, of a function or of what they would make: it says what they are, and does nothing.

    Args:
        name: of the class or function, with its module.
        args: what it would have been called with.

    Attributes:
        entries: the items of a class that is like a dictionary.
        state: what would have become of its attributes.
    """

    def __init__(self, name: str, args: tuple = ()):
        self.name, self.args = name, args
        self.entries: dict = {}
        self.state: Any = None

    def __repr__(self) -> str:
        return f'<{self.name}, not read>'

    @property
    def is_module(self) -> bool:
        """Whether this was a whole ``torch.nn.Module``."""
        return isinstance(self.state, Mapping) and {'_parameters', '_modules'} <= set(self.state)

    def module_weights(self) -> dict[str, Any]:
        """What ``state_dict()`` of a whole module would hold: its parameters, and the buffers that are stored."""
        weights = dict(self.state['_parameters'])
        left_out = self.state.get('_non_persistent_buffers_set') or ()
        weights |= {name: value for name, value in (self.state.get('_buffers') or {}).items() if name not in left_out}
        weights = {name: value for name, value in weights.items() if value is not None}
        for name, module in self.state['_modules'].items():
            if isinstance(module, StandIn) and module.is_module:
                weights |= {f'{name}.{key}': value for key, value in module.module_weights().items()}
        return weights
