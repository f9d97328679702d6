"""What all networks from movement share: the read-out, what differs between people, and how both are trained.

Arrays are time-major, (time, batch, feature).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from myodrive.learning.recurrent import normal_weights
from myodrive.learning.sequence_task import PresetEnd, draw_starts, mean_and_scale_loss

SMALLEST = 0.05  # of the predicted scale, in standard deviations of the target
NOBODY = -1  # a person that a network was not trained on: the last row of its tables
OFFSET_SHARE = 0.5  # of the noise is the same throughout a window, as sensors that sit otherwise on another person


class Body(Protocol):
    """What a network is but for its read-out: standardised features in, hidden features out."""

    def __call__(
        self, inputs: Float[Array, "time batch channel"], present: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch hidden"]: ...


class Net(eqx.Module):
    """Mean and scale of every muscle's envelope, in standard deviations of the training targets; neither is negative.

    What differs between people is an embedding, which the network is told beside the features, and a gain for each muscle.
    The last row of both tables is of nobody known: once trained, the mean of those known (see `with_nobody`).
    """

    # In the mean of several networks: for known people in movements like those of the training, and for all else.
    counts: ClassVar[tuple[float, float]] = (1.0, 1.0)

    w_mean: Float[Array, "hidden muscle"]
    w_scale: Float[Array, "hidden muscle"]
    b_mean: Float[Array, " muscle"]
    b_scale: Float[Array, " muscle"]
    embedding: Float[Array, "person embedded"]
    log_gain: Float[Array, "person muscle"]

    def __call__(
        self,
        inputs: Float[Array, "time batch channel"],
        present: Bool[Array, "time batch"],
        who: Int[Array, " batch"],
        dropped: Float[Array, "batch hidden"] | float = 1.0,
    ) -> tuple[Float[Array, "time batch muscle"], Float[Array, "time batch muscle"]]:
        """Mean and scale at each step; `dropped` are the factors of dropout, with the mean 1."""
        gain = jnp.exp(self.log_gain[who])
        hidden = self.hidden(inputs, present, self.embedding[who]) * dropped
        scale = jax.nn.softplus(jax.lax.stop_gradient(hidden) @ self.w_scale + self.b_scale)
        return gain * self.mean(hidden), gain * scale + SMALLEST

    def hidden(
        self,
        inputs: Float[Array, "time batch channel"],
        present: Bool[Array, "time batch"],
        told: Float[Array, "batch embedded"],
    ) -> Float[Array, "time batch hidden"]:
        """What mean and scale are read from."""
        raise NotImplementedError

    def mean(self, hidden: Float[Array, "time batch hidden"]) -> Float[Array, "time batch muscle"]:
        """Of somebody with the gain 1."""
        raise NotImplementedError

    @property
    def decaying(self) -> list[Array]:
        """The weights that it costs to be large."""
        raise NotImplementedError

    def hyper(self, general: Hyper) -> Hyper:
        """What its training depends on."""
        return general


class MotionNet(Net):
    """A network of layers, which ends in a softplus of a linear map."""

    body: Any

    @classmethod
    def create(
        cls, body: Any, n_hidden: int, level: Float[Array, " muscle"], n_person: int, n_embed: int, key: PRNGKeyArray
    ) -> MotionNet:
        """It begins with the mean of the training targets, `level`, for everybody."""
        small = 0.1 * normal_weights(key, n_hidden, level.shape[0])
        return cls(**start_of(small, unsoftplus(jnp.maximum(level, 0.05)), 1.0, n_person, n_embed), body=body)

    def hidden(
        self,
        inputs: Float[Array, "time batch channel"],
        present: Bool[Array, "time batch"],
        told: Float[Array, "batch embedded"],
    ) -> Float[Array, "time batch hidden"]:
        """Of the body, which is told who moves at every step."""
        told = jnp.broadcast_to(told, (*inputs.shape[:2], told.shape[1]))
        return self.body(jnp.concatenate([inputs, told], axis=-1), present)

    def mean(self, hidden: Float[Array, "time batch hidden"]) -> Float[Array, "time batch muscle"]:
        """Softplus of a linear map."""
        return jax.nn.softplus(hidden @ self.w_mean + self.b_mean)

    @property
    def decaying(self) -> list[Array]:
        """All matrices but what the scale is read with."""
        return [w for w in jax.tree.leaves((self.body, self.w_mean)) if w.ndim > 1]


def start_of(
    w_mean: Float[Array, "hidden muscle"], b_mean: Float[Array, " muscle"], scale: float, n_person: int, n_embed: int
) -> dict[str, Array]:
    """What every `Net` begins with: one scale throughout, and no difference between people."""
    n_muscle = b_mean.shape[0]
    return {
        "w_mean": w_mean,
        "w_scale": jnp.zeros(w_mean.shape),
        "b_mean": b_mean,
        "b_scale": unsoftplus(jnp.full(n_muscle, scale)),
        "embedding": jnp.zeros((n_person, n_embed)),
        "log_gain": jnp.zeros((n_person, n_muscle)),
    }


def with_nobody(net: Net, known: list[int]) -> Net:
    """The network that takes nobody in particular for the mean of the people that it knows, if any."""
    if not known:
        return net
    tables = (net.embedding, net.log_gain)
    return with_people(net, *(table.at[NOBODY].set(table[jnp.array(known)].mean(axis=0)) for table in tables))


def with_people(net: Net, embedding: Float[Array, "person embedded"], log_gain: Float[Array, "person muscle"]) -> Net:
    """The network with other people in its tables."""
    return eqx.tree_at(lambda n: (n.embedding, n.log_gain), net, (embedding, log_gain))


def unsoftplus(x: Array) -> Array:
    """The inverse of softplus."""
    return jnp.log(jnp.expm1(x))


class Hyper(NamedTuple):
    """What training depends on besides the sizes."""

    learning_rate: Any
    decay_steps: Any
    weight_decay: Any
    person_decay: Any  # of embeddings and gains
    noise: Any  # standard deviation of what is added to the standardised features
    dropout: Any  # share of the hidden features that is dropped in a window
    peak_weight: Any  # how much more an error counts where the muscle is active
    load_spread: Any  # standard deviation of the logarithm by which moments and activity of a window grow together
    moments: Any  # (channel,) 1 for a feature that is a moment (0 where there is none), 0 for others


class Sequences(NamedTuple):
    """Standardised stretches, one behind the other, and where windows of them may start."""

    inputs: Float[Array, "time channel"]
    targets: Float[Array, "time muscle"]  # 0 where not known
    known: Bool[Array, "time muscle"]  # and to be learned from
    stretch: Int[Array, " time"]
    who: Int[Array, " time"]
    start: Int[Array, " start"]
    cumulative: Float[Array, " start"]  # probability of drawing a start up to this one


class Batch(NamedTuple):
    inputs: Float[Array, "time batch channel"]
    targets: Float[Array, "time batch muscle"]
    known: Bool[Array, "time batch muscle"]
    present: Bool[Array, "time batch"]
    who: Int[Array, " batch"]


@dataclasses.dataclass(frozen=True)
class MotionTask(PresetEnd):
    """What the training loop asks for; see `learning.loop.Task`."""

    n_window: int
    n_batch: int

    def draw(self, data: Sequences, key: PRNGKeyArray) -> Batch:
        """Windows at random starts; one that is longer than its stretch goes on into nothing."""
        start = data.start[draw_starts(data.cumulative, self.n_batch, key)]
        at = start + jnp.arange(self.n_window)[:, None]  # (time, batch)
        present = data.stretch[at] == data.stretch[start]
        return Batch(data.inputs[at], data.targets[at], data.known[at] & present[..., None], present, data.who[start])

    def loss(
        self, net: Net, batch: Batch, hyper: Hyper, key: PRNGKeyArray, step: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Of mean and scale (see `mean_and_scale_loss`), and what weights and people cost."""
        keys = jax.random.split(key, 4)
        batch = loaded(batch, hyper, keys[3])
        within = jax.random.normal(keys[0], batch.inputs.shape)
        offset = jax.random.normal(keys[1], batch.inputs.shape[1:])
        noisy = batch.inputs + hyper.noise * (jnp.sqrt(1 - OFFSET_SHARE) * within + jnp.sqrt(OFFSET_SHARE) * offset)
        kept = jax.random.bernoulli(keys[2], 1 - hyper.dropout, (self.n_batch, net.w_mean.shape[0]))
        mean, scale = net(noisy, batch.present, batch.who, kept / (1 - hyper.dropout))
        weight = 1.0 + hyper.peak_weight * batch.targets
        squared, density = mean_and_scale_loss(mean, scale, batch.targets, batch.known, weight)
        decay = hyper.weight_decay * sum(jnp.sum(w**2) for w in net.decaying)
        people = hyper.person_decay * (jnp.sum(net.embedding**2) + jnp.sum(net.log_gain**2))
        return squared + density + decay + people, {"squared": squared, "density": density}


def loaded(batch: Batch, hyper: Hyper, key: PRNGKeyArray) -> Batch:
    """Each window as it would be with another load: moments and activity some times as large, the posture the same.

    As long as no muscle is fully active, static optimisation shares twice the moments out in the same way, twice as much to
    each. So a network learns from one load what to do with others.
    """
    times = jnp.exp(hyper.load_spread * jax.random.normal(key, batch.who.shape))[:, None]
    grown = jnp.where(hyper.moments > 0, times * batch.inputs, batch.inputs)
    return batch._replace(inputs=grown, targets=batch.targets * times)


@jax.jit
def run_net(net: Net, inputs: Array, present: Array, who: Array) -> tuple[Array, Array]:
    """Mean and scale, compiled once for all networks of the same shapes."""
    return net(inputs, present, who)
