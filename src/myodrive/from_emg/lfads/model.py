"""The network of LFADS for EMG (Pandarinath 2018, 10.1038/s41592-018-0109-9; Wimalasena 2022, 10.1088/1741-2552/ac6369).

Two bidirectional encoders read a window. One gives the posterior of the generator's initial condition; the other feeds
a controller, which infers what the generator is driven by at each step. The generator's state gives the factors, and
linear read-outs of the factors give the parameters of a density (`densities`) for each muscle. A causal network has
encoders that run forwards only, and hears a stated number of steps ahead.

Several sessions share one network. Each then has a read-in, from what its electrodes show to dimensions that are
common to all, and read-outs of its own (`of_session`).

Arrays are (time, batch, feature). The network is a pytree of arrays whose sizes are its own shapes, so a population is
a `jax.vmap` over a leading axis of every array.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from myodrive.from_emg.lfads.densities import DENSITIES, Parameters
from myodrive.learning.recurrent import GRU, normal_weights, run, run_both_ways

STATE_CLIP = 5.0  # bound of every recurrent state, as published
SMALLEST_VARIANCE = 1e-4  # of the posterior of the initial condition, as published
PRIOR_VARIANCE = 0.1  # of the initial condition, as published


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Numbers of units. Published for EMG: encoders 128 (100), controller 64 (100), generator 64 (100), 30, 3, 10."""

    n_muscle: int
    ic_encoder: int
    ci_encoder: int
    controller: int
    generator: int
    n_initial: int
    n_input: int
    n_factor: int
    density: str = "gamma"
    look_ahead: int | None = None  # steps that the encoders of a causal network hear ahead; None: all there are
    n_external: int = 0  # known inputs to the generator
    n_session: int = 1
    n_common: int = 0  # dimensions that sessions are read into; 0: the network reads the muscles themselves


class Linear(eqx.Module):
    """A linear map, the same for the whole batch or, with weights (batch, input, output), one for each window."""

    weight: Float[Array, "*member input output"]
    bias: Float[Array, "*member output"]

    @classmethod
    def create(cls, n_input: int, n_output: int, key: PRNGKeyArray) -> Linear:
        return cls(normal_weights(key, n_input, n_output), jnp.zeros(n_output))

    def __call__(self, x: Float[Array, "*batch input"]) -> Float[Array, "*batch output"]:
        if self.weight.ndim == 3:
            return jnp.einsum("tbi,bio->tbo", x, self.weight) + self.bias
        return x @ self.weight + self.bias


class Network(eqx.Module):
    """All weights, and the parameters of the priors."""

    ic_past: GRU
    ic_future: GRU | None  # none in a causal network
    ci_past: GRU
    ci_future: GRU | None
    to_initial: Linear
    to_generator: Linear
    controller: GRU
    controller_start: Float[Array, "*member controller"]
    to_input: Linear
    generator: GRU
    to_factor: Float[Array, "*member generator factor"]
    read_out: dict[str, Linear]  # by parameter of the density; of several sessions with a leading axis of them
    prior_mean: Float[Array, "*member initial"]
    prior_log_tau: Float[Array, "*member input"]  # in bins
    prior_log_noise: Float[Array, "*member input"]  # variance of the innovation
    read_in: Linear | None = None  # of several sessions, with a leading axis of them
    from_external: Float[Array, "*member external gates"] | None = None  # weights of external inputs to the generator
    backward: Float[Array, "*member"] | None = (
        None  # 1: it runs from the end of a window to its beginning; never learned
    )
    density: str = eqx.field(static=True, default="gamma")
    look_ahead: int | None = eqx.field(static=True, default=None)

    @classmethod
    def create(cls, sizes: Sizes, null: Float[Array, "*session parameter muscle"], key: PRNGKeyArray) -> Network:
        """Draw the weights; the read-outs start at the density `null` that ignores time.

        `null` holds the parameters in the order of the density's `bounds`; of several sessions with a leading axis.
        """
        s, names = sizes, list(DENSITIES[sizes.density].bounds)
        keys = iter(jax.random.split(key, 10 + len(names) + 2 * (s.n_common + s.n_external > 0)))
        both = s.look_ahead is None
        n_heard = 2 if both else 1  # directions
        n_token = 3 * s.n_muscle  # two features of each muscle, and whether it is there to be seen
        n_seen = s.n_common or n_token
        read_out = {name: Linear.create(s.n_factor, s.n_muscle, next(keys)) for name in names}
        for i, name in enumerate(names):
            read_out[name] = eqx.tree_at(lambda r: r.bias, _for_each(read_out[name], s.n_session), null[..., i, :])
        ic_past, ic_future = (GRU.create(n_seen, s.ic_encoder, k) for k in (next(keys), next(keys)))
        ci_past, ci_future = (GRU.create(n_seen, s.ci_encoder, k) for k in (next(keys), next(keys)))
        net = cls(
            ic_past=ic_past,
            ic_future=ic_future if both else None,
            ci_past=ci_past,
            ci_future=ci_future if both else None,
            to_initial=Linear.create(n_heard * s.ic_encoder, 2 * s.n_initial, next(keys)),
            to_generator=Linear.create(s.n_initial, s.generator, next(keys)),
            controller=GRU.create(n_heard * s.ci_encoder + s.n_factor, s.controller, next(keys)),
            controller_start=jnp.zeros(s.controller),
            to_input=Linear.create(s.controller, 2 * s.n_input, next(keys)),
            generator=GRU.create(s.n_input, s.generator, next(keys)),
            to_factor=normal_weights(next(keys), s.generator, s.n_factor),
            read_out=read_out,
            prior_mean=jnp.zeros(s.n_initial),
            prior_log_tau=jnp.full(s.n_input, jnp.log(10.0)),
            prior_log_noise=jnp.full(s.n_input, jnp.log(0.1)),
            density=s.density,
            look_ahead=s.look_ahead,
        )
        if s.n_common:
            read_in = _for_each(Linear.create(n_token, s.n_common, next(keys)), s.n_session)
            net = dataclasses.replace(net, read_in=read_in)
        if s.n_external:
            net = dataclasses.replace(net, from_external=normal_weights(next(keys), s.n_external, 3 * s.generator))
        return net


def _for_each(linear: Linear, n_session: int) -> Linear:
    """The same map for each of several sessions."""
    if n_session == 1:
        return linear
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (n_session, *a.shape)), linear)


def directed(net: Network, *, backward: bool) -> Network:
    """The network with a direction of its own, so that a population can have both.

    A generator that runs forwards comes late and one that runs backwards early, and they err in different places: their
    mean does neither (docs/lfads.md).
    """
    return dataclasses.replace(net, backward=jnp.float32(backward))


def in_its_time(net: Network, a: Array) -> Array:
    """Turned round along the first axis where the network runs backwards, and back by the same."""
    return a if net.backward is None else jnp.where(net.backward > 0, a[::-1], a)


def of_session(net: Network, session: Int[Array, "*batch"] | int) -> Network:
    """The network as one session has it or, given a session for each window of a batch, as each window has it."""
    own = jax.tree.map(lambda a: a[session], (net.read_in, net.read_out))
    return eqx.tree_at(lambda n: (n.read_in, n.read_out), net, own)


class Encoded(NamedTuple):
    """What the encoders make of a batch of windows."""

    initial_mean: Float[Array, "batch initial"]
    initial_variance: Float[Array, "batch initial"]
    context: Float[Array, "time batch both"]  # for the controller: past and future of each step, not the step itself
    external: Float[Array, "time batch external"] | None = None  # known inputs to the generator, handed on


def encode(
    net: Network, x: Float[Array, "time batch feature"], seen: Float[Array, "time batch muscle"], drop: Dropout
) -> Encoded:
    """The encoders.

    Parameters
    ----------
    x : array (time, batch, 2 muscle + external)
        Logarithm and root of the EMG, centred and scaled for each muscle; anything where it is not seen. Behind them
        what is known of the generator's inputs, which the encoders do not read.
    seen : array (time, batch, muscle)
        1 where the network may see the sample, 0 where it is missing or hidden: a mask token, not an amplitude.
    drop : Dropout
    """
    x, seen = in_its_time(net, x), in_its_time(net, seen)
    x, external = jnp.split(x, [2 * seen.shape[-1]], axis=-1)
    tokens = jnp.concatenate([x * jnp.concatenate([seen, seen], axis=-1), seen], axis=-1)
    if net.read_in is not None:
        tokens = net.read_in(tokens)
    if net.ic_future is None or net.ci_future is None:
        summary, context = _heard_so_far(net.ic_past, net.ci_past, tokens, net.look_ahead or 0)
    else:
        summary, context = _heard((net.ic_past, net.ic_future), (net.ci_past, net.ci_future), tokens)
    mean, log_variance = jnp.split(net.to_initial(summary * drop.summary), 2, axis=-1)
    return Encoded(
        mean,
        jnp.exp(log_variance) + SMALLEST_VARIANCE,
        context,
        external if net.from_external is not None else None,
    )


def _heard(
    ic: tuple[GRU, GRU], ci: tuple[GRU, GRU], tokens: Float[Array, "time batch token"]
) -> tuple[Float[Array, "batch both"], Float[Array, "time batch both"]]:
    """The whole window for the initial condition; for the controller at a step, all steps but that one (lag 1)."""
    past, future = run_both_ways(*ic, tokens, clip=STATE_CLIP)
    summary = jnp.concatenate([past[-1], future[0]], axis=-1)
    past, future = run_both_ways(*ci, tokens, clip=STATE_CLIP)
    nothing = jnp.zeros_like(past[:1])
    past, future = jnp.concatenate([nothing, past[:-1]]), jnp.concatenate([future[1:], nothing])
    return summary, jnp.concatenate([past, future], axis=-1)


def _heard_so_far(
    ic: GRU, ci: GRU, tokens: Float[Array, "time batch token"], look_ahead: int
) -> tuple[Float[Array, "batch state"], Float[Array, "time batch state"]]:
    """The same of a causal network: at a step, what came until `look_ahead` steps later, that step with it.

    The initial condition, which decides all steps, hears what the first one does.
    """
    ahead = min(look_ahead, len(tokens) - 1)
    summary = run(ic, tokens[: ahead + 1], clip=STATE_CLIP)[-1]
    past = run(ci, tokens, clip=STATE_CLIP)
    return summary, jnp.concatenate([past[ahead:], jnp.broadcast_to(past[-1], (ahead, *past.shape[1:]))])


class Dropout(NamedTuple):
    """Masks, already divided by what they keep; each is drawn once per window and held over its steps."""

    summary: Float[Array, "batch both"]
    context: Float[Array, "batch both"]
    generator: Float[Array, "batch generator"]

    @classmethod
    def draw(cls, net: Network, n_batch: int, rate: Array | float, key: PRNGKeyArray) -> Dropout:
        directions = 2 if net.look_ahead is None else 1
        encoders = [directions * cell.bias_state.size for cell in (net.ic_past, net.ci_past)]
        sizes = [*encoders, net.generator.bias_state.size]
        kept = (jax.random.uniform(key, (n_batch, sum(sizes))) >= rate) / (1 - rate)
        return cls(*jnp.split(kept, [sizes[0], sizes[0] + sizes[1]], axis=-1))


NO_DROPOUT = Dropout(*(jnp.ones((1, 1)) for _ in range(3)))


def read_out(net: Network, factors: Float[Array, "time batch factor"]) -> Parameters:
    """The parameters of each muscle's density."""
    return DENSITIES[net.density].held({name: linear(factors) for name, linear in net.read_out.items()})
