"""What is known of the names of another project's ViT."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ....errors import CheckpointError
from ..merged_weights import canonical_form
from ..names import Names

State = Mapping[str, Tensor]
Step = Callable[[State], dict[str, Tensor]]

#: The modules that all layouts but a few have in common with ours; a table of names repeats them to say that its models
#: have them.
EMBEDDINGS = {name: name for name in ('cls_token', 'pos_embed', 'patch_embed.proj', 'norm')}
BLOCK = {name: name for name in ('norm1', 'norm2', 'attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2')}
LAYER_SCALES = ('ls1.gamma', 'ls2.gamma')


@dataclass(frozen=True)
class Peer:
    """The layout of one project's ViT: by which names it is told, and how they become ours and ours theirs.

    Args:
        landmarks: regular expressions, each of which matches the beginning of some name of a file of this layout, after
            the prefix. The layouts are tried in the order of their table: the first whose landmarks are all there.
        encoder: the names of the encoder; ``encoder.prefix`` is that of the files we write. Complete: what is not in it
            cannot be written.
        head: the names of the classification head, with their prefix; None where the models have none like ours.
        prefixes: what may precede the names of the encoder.
        spellings: (regular expression, replacement): other spellings of the encoder's names, after the prefix.
        outside: regular expression; names after the prefix that it matches are not the encoder's.
        before_prefix: names of the encoder that have no prefix even where the others have one.
        read: last step from the renamed encoder to the canonical one.
        write: steps from the canonical encoder to what these models have, before renaming.
        rotary: the kinds of rotary positions that the models may have, None being none; empty if the names do not say.
        design: the name of the models' design in :data:`~mae_transfer.vit.design.DESIGNS`.
    """

    landmarks: tuple[str, ...]
    encoder: Names
    head: Names | None = None
    prefixes: tuple[str, ...] = ('',)
    spellings: tuple[tuple[str, str], ...] = ()
    outside: str = r'(?!)'
    before_prefix: tuple[str, ...] = ()
    read: Step = dict
    write: tuple[Step, ...] = ()
    rotary: tuple[str | None, ...] = ()
    design: str | None = None

    def prefix_in(self, state: State) -> str | None:
        """The prefix with which the names have all landmarks; None if they are of another layout."""
        for prefix in self.prefixes:
            names = [name.removeprefix(prefix) for name in state if name.startswith(prefix)]
            if all(any(re.match(landmark, name) for name in names) for landmark in self.landmarks):
                return prefix
        return None

    def to_canonical(self, state: State) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
        """The encoder and the classification head with canonical names, and the names of all other weights.

        Raises:
            CheckpointError: query, key or value is missing; two names for one parameter.
        """
        prefix = self.prefix_in(state) or ''
        encoder: dict[str, Tensor] = {}
        head: dict[str, Tensor] = {}
        other = []
        for name, value in state.items():
            inner = name.removeprefix(prefix)
            is_encoder = name.startswith((prefix, *self.before_prefix))
            if name.endswith('.relative_position_index') or (is_encoder and re.match(self.outside, inner)):
                other.append(name)
            elif head_name := self._head_name(name, inner):
                head[head_name] = value
            elif not is_encoder:
                other.append(name)
            else:
                for pattern, replacement in self.spellings:
                    inner = re.sub(pattern, replacement, inner)
                canonical = self.encoder.to_canonical(inner)
                if canonical in encoder:
                    raise CheckpointError(f"two weights for '{canonical}' of the encoder: '{name}' is the second")
                encoder[canonical] = value
        return canonical_form(self.read(encoder)), head, other

    def _head_name(self, name: str, inner: str) -> str | None:
        """The canonical name of a weight of the head; None for all others."""
        if self.head is None:
            return None
        names = (name, self.encoder.prefix + inner)  # files of a model without prefix have the head's norm without it
        return next((self.head.to_canonical(known) for known in names if self.head.contains(known)), None)

    def from_canonical(self, encoder: State, head: State, layout: str) -> dict[str, Tensor]:
        """The inverse of :meth:`to_canonical`.

        Args:
            layout: the name of this layout, for messages.

        Raises:
            CheckpointError: a weight that these models have no place for.
        """
        for step in self.write:
            encoder = step(encoder)
        state = {}
        for part, weights, names in (('encoder', encoder, self.encoder), ('head', head, self.head)):
            for name, value in weights.items():
                inner = re.sub(r'^blocks\.\d+\.', '', name)
                table = names.inside if names and inner != name else names.modules if names else {}
                if names is None or not (inner in table or inner.rpartition('.')[0] in table):
                    raise CheckpointError(f"layout {layout} cannot store '{name}' of the {part}")
                state[names.from_canonical(name)] = value
        return state
