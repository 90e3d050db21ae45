"""What is known of the names of another project's ViT."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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
            the prefix of its patch embedding. The layouts are tried in the order of their table: the first whose
            landmarks are all there.
        encoder: the names of the encoder; ``encoder.prefix`` is that of the files we write. Complete: what is not in it
            cannot be written.
        head: the names of the classification head, with their prefix; None where the models have none like ours.
        prefixes: what precedes the names of the encoder in some of the project's models, beside the prefix that all
            names of a model may have.
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

    def is_below(self, prefix: str, names: Sequence[str]) -> bool:
        """Whether names have all landmarks below a prefix."""
        inner = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return all(any(re.match(landmark, name) for name in inner) for landmark in self.landmarks)

    def model_prefix(self, prefix: str) -> str:
        """What of a ViT's prefix all names of its model have: the part before one of ``prefixes``."""
        own = next((p for p in self.prefixes if prefix == p or prefix.endswith(f'.{p}')), '')
        return prefix.removesuffix(own) if own else prefix

    def has_first_block(self, names: Iterable[str]) -> bool:
        """Whether there is a block 0 among names without prefix."""
        return any(self._canonical_name(name).startswith('blocks.0.') for name in names)

    def _canonical_name(self, inner: str) -> str:
        """The canonical name of a name without prefix, in any spelling."""
        for pattern, replacement in self.spellings:
            inner = re.sub(pattern, replacement, inner)
        return self.encoder.to_canonical(inner)

    def to_canonical(self, state: State, prefix: str) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
        """The encoder and the classification head with canonical names, and the names of all other weights.

        Args:
            state: the weights of a model.
            prefix: one of ``prefixes``.

        Raises:
            CheckpointError: query, key or value is missing; two names for one parameter.
        """
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
                canonical = self._canonical_name(inner)
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
