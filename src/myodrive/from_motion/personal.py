"""How a network learns a new person: first what tells people apart, then, a little, everything."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from myodrive.from_motion.training import Batch, Hyper, MotionNet, MotionTask, Sequences
from myodrive.learning.loop import LoopOptions, State, train
from myodrive.learning.sequence_task import PresetEnd

N_STEPS = 60
N_BATCH = 8  # windows
LEARNING_RATE = 1e-3
FASTER = 10.0  # so much faster than weights are embedding and gain learned
ANCHOR = 1e-3  # of the squared change of all weights


class Change(NamedTuple):
    """What a person adds to a general network."""

    embedding: Float[Array, " embedded"]
    log_gain: Float[Array, " muscle"]
    weights: MotionNet | None  # what is added to all of it; None leaves it as it is

    @classmethod
    def start(cls, net: MotionNet, gain: Float[Array, " muscle"], everything: bool) -> Change:
        log_gain = jnp.log(jnp.maximum(gain, 0.05)) / FASTER
        return cls(
            jnp.zeros(net.embedding.shape[1:]), log_gain, jax.tree.map(jnp.zeros_like, net) if everything else None
        )

    def applied(self, net: MotionNet) -> MotionNet:
        """The network of this one person."""
        if self.weights is not None:
            net = jax.tree.map(jnp.add, net, self.weights)
        own = FASTER * self.embedding[None], FASTER * self.log_gain[None]
        return eqx.tree_at(lambda n: (n.embedding, n.log_gain), net, own)


class PersonHyper(NamedTuple):
    """What learning a person depends on."""

    learning_rate: Any
    decay_steps: Any
    anchor: Any
    general: Hyper  # what the loss asks for


class PersonData(NamedTuple):
    sequences: Sequences
    network: MotionNet


@dataclasses.dataclass(frozen=True)
class PersonTask(PresetEnd):
    """What the training loop asks for; see `learning.loop.Task`."""

    general: MotionTask

    def draw(self, data: PersonData, key: PRNGKeyArray) -> tuple[Batch, MotionNet]:
        return self.general.draw(data.sequences, key), data.network

    def loss(
        self, change: Change, drawn: tuple[Batch, MotionNet], hyper: PersonHyper, key: PRNGKeyArray, step: Array
    ) -> tuple[Array, dict[str, Array]]:
        """As of the general network, and what it costs to leave that."""
        batch, network = drawn
        total, terms = self.general.loss(change.applied(network), batch, hyper.general, key, step)
        moved = sum(jnp.sum(w**2) for w in jax.tree.leaves(change.weights))
        return total + hyper.anchor * moved, terms


def learn_person(
    net: MotionNet,
    sequences: Sequences,
    gain: Float[Array, " muscle"],
    hyper: Hyper,
    n_window: int,
    everything: bool,
    key: PRNGKeyArray,
) -> MotionNet:
    """The network of one person, who is 0 in it: with embedding and gain of their own, or also with weights of their own."""
    general = hyper._replace(weight_decay=jnp.float32(0.0), nobody=jnp.float32(0.0))
    own = PersonHyper(jnp.float32(LEARNING_RATE), jnp.float32(N_STEPS), jnp.float32(ANCHOR), general)
    state = State.start(Change.start(net, jnp.asarray(gain, jnp.float32), everything), key)
    data = PersonData(sequences, net)
    options = LoopOptions(n_epochs=1, steps_per_epoch=N_STEPS, patience=1)
    change: Change = train(PersonTask(MotionTask(n_window, N_BATCH)), state, own, data, data, options).weights
    return change.applied(net)
