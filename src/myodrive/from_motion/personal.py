"""How a network learns a new person: everything in it, near the general network."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from myodrive.from_motion.training import Batch, Hyper, MotionTask, Net, Sequences, with_people
from myodrive.learning.loop import LoopOptions, State, train
from myodrive.learning.sequence_task import PresetEnd

N_STEPS = 200
N_BATCH = 8  # windows
LEARNING_RATE = 2e-3
FASTER = 10.0  # so much faster than weights are embedding and gain learned
ANCHOR = 1e-2  # of the squared change of all weights
SMALLEST_GAIN = 1e-3


def for_one(net: Net, who: int, times: Float[Any, " muscle"] | float = 1.0) -> Net:
    """The network of one person, who is 0 in it, with all that it says so many times as large."""
    log_gain = net.log_gain[who][None] + jnp.log(jnp.maximum(jnp.asarray(times, jnp.float32), SMALLEST_GAIN))
    return with_people(net, net.embedding[who][None], log_gain)


def changed(net: Net, change: Net) -> Net:
    """The network with a change added, of which that of embedding and gain counts `FASTER` times."""
    return jax.tree.map(jnp.add, net, with_people(change, FASTER * change.embedding, FASTER * change.log_gain))


class PersonHyper(NamedTuple):
    """What learning a person depends on."""

    learning_rate: Any
    decay_steps: Any
    anchor: Any
    general: Hyper  # what the loss asks for


class PersonData(NamedTuple):
    sequences: Sequences
    network: Net


@dataclasses.dataclass(frozen=True)
class PersonTask(PresetEnd):
    """What the training loop asks for; see `learning.loop.Task`."""

    general: MotionTask

    def draw(self, data: PersonData, key: PRNGKeyArray) -> tuple[Batch, Net]:
        return self.general.draw(data.sequences, key), data.network

    def loss(
        self, change: Net, drawn: tuple[Batch, Net], hyper: PersonHyper, key: PRNGKeyArray, step: Array
    ) -> tuple[Array, dict[str, Array]]:
        """As of the general network, and what it costs to leave that."""
        batch, network = drawn
        total, terms = self.general.loss(changed(network, change), batch, hyper.general, key, step)
        moved = sum(jnp.sum(w**2) for w in jax.tree.leaves(change))
        return total + hyper.anchor * moved, terms


def learn_person(net: Net, sequences: Sequences, hyper: Hyper, n_window: int, key: PRNGKeyArray) -> Net:
    """The network of one person (see `for_one`), with embedding, gain and weights of their own."""
    general = hyper._replace(weight_decay=jnp.float32(0.0))
    own = PersonHyper(jnp.float32(LEARNING_RATE), jnp.float32(N_STEPS), jnp.float32(ANCHOR), general)
    state = State.start(jax.tree.map(jnp.zeros_like, net), key)
    data = PersonData(sequences, net)
    options = LoopOptions(n_epochs=1, steps_per_epoch=N_STEPS, patience=1)
    return changed(net, train(PersonTask(MotionTask(n_window, N_BATCH)), state, own, data, data, options).weights)
