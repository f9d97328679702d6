"""A network that knows how muscles answer moments, though not which muscles: they share them out at the least effort.

Static optimisation inside a network. Each of some muscles that nobody named has moment arms at shoulder and elbow, which are
learned and change with the posture as those of a string between two bones do: evenly with the directions of the bones.
Its strength changes as it is long or short, and falls when it shortens. At every instant the muscles together make the
moments of the features, with the least sum of squares, and none can push.
What a muscle of the data does is a mix of theirs. There is little that it can learn, so it goes on sensibly where nobody has been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from myodrive.conditioning.features import derivative_of, is_moment, is_of_load, is_posture, is_turning
from myodrive.from_motion.training import Hyper, Net, start_of

N_MUSCLE = 24  # that share
N_DIRECTION = 9  # numbers that say where the axes of the upper arm point
STIFF = 300.0  # so dear is a moment that is not made, in units of effort
N_NEWTON = 5
STEPS = (1.0, 0.5, 0.2)  # of Newton's, of which the best is taken
# Of the taps over time, and how they begin: activity comes before its moment.
REACH_S, EARLY_S, WIDTH_S = 0.16, 0.05, 0.03
# So much more than weights of other networks decay moment arms that are the same in every posture, and what changes them.
DECAY, DECAY_OF_CHANGE = 100.0, 1000.0
FASTER = 2.4  # than other networks it learns, which has few weights
MOST = 1.5, 2.0  # by which posture may change the logarithm of a strength, and how fast a muscle may be


class Reads(NamedTuple):
    """Which features are moments, those of a load, turning, directions of the upper arm, what is beyond it, and velocities."""

    moments: tuple[int, ...]
    loads: tuple[int, ...]
    turning: tuple[int, ...]
    directions: tuple[int, ...]
    hinges: tuple[int, ...]
    velocities: tuple[int, ...]

    @classmethod
    def of(cls, features: Sequence[str]) -> Reads | None:
        """None where there are no moments of an arm."""

        def those(of_kind: Callable[[str], bool]) -> tuple[int, ...]:
            return tuple(i for i, name in enumerate(features) if of_kind(name))

        loads, posture = those(is_of_load), those(is_posture)
        moments = tuple(i for i in those(is_moment) if i not in loads)
        if not moments:
            return None
        velocities = those(lambda name: derivative_of(name) == 1)
        return cls(moments, loads, those(is_turning), posture[:N_DIRECTION], posture[N_DIRECTION:], velocities)

    @property
    def forearm(self) -> bool:
        """Whether its rotation is known: cosine and sine of two hinges."""
        return len(self.hinges) > 2


class LoadSharing(Net):
    """Muscles that share the moments, of which those of the data are mixes without anything negative.

    The embedding of a person makes each of the muscles that share stronger or weaker.
    """

    counts: ClassVar[tuple[float, float]] = (0.5, 1.0)

    shoulder: Float[Array, "basis 3 sharing"]
    elbow: Float[Array, "bent sharing"]
    forearm: Float[Array, "bent sharing"] | None  # no moment turns it, and muscles that would have to be held by others
    by_posture: Float[Array, "posture sharing"]  # on the logarithm of the strength, as the muscle is long or short
    by_speed: Float[Array, " sharing"]  # softplus: how much weaker it is when it shortens
    load: Float[
        Array, " joint"
    ]  # softplus: kg that are usually in the hand, and what the masses of the arm leave unexplained
    taps: Float[Array, " tap"]
    reads: Reads = eqx.field(static=True)

    @classmethod
    def create(cls, reads: Reads, n_muscle: int, n_person: int, step_s: float, key: PRNGKeyArray) -> LoadSharing:
        """It begins with arms in all directions, the more even the longer."""
        keys = jax.random.split(key, 4)
        like = jnp.r_[1.0, jnp.full(N_DIRECTION, 0.4)][:, None, None]
        bent = jnp.r_[1.5, jnp.full(len(reads.hinges), 0.4)][:, None]
        n_tap = round(REACH_S / step_s)
        away_s = step_s * jnp.arange(-n_tap, n_tap + 1)
        mixed = jnp.concatenate([3.0 * jnp.eye(N_MUSCLE, n_muscle) - 3.0, jnp.full((N_MUSCLE, n_muscle), -4.0)])
        mixed = mixed + 0.1 * jax.random.normal(keys[0], mixed.shape)
        hinged = (1 + len(reads.hinges), N_MUSCLE)
        return cls(
            **start_of(mixed, jnp.full(n_muscle, -4.0), 0.5, n_person, N_MUSCLE),
            shoulder=0.3 * like * jax.random.normal(keys[1], (1 + N_DIRECTION, 3, N_MUSCLE)),
            elbow=0.3 * bent * jax.random.normal(keys[2], hinged),
            forearm=0.02 * jax.random.normal(keys[3], hinged) if reads.forearm else None,
            by_posture=jnp.zeros((N_DIRECTION + len(reads.hinges), N_MUSCLE)),
            by_speed=jnp.full(N_MUSCLE, -3.0),
            load=jnp.full(len(reads.loads), -1.0),
            taps=-0.5 * ((away_s - EARLY_S) / WIDTH_S) ** 2,
            reads=reads,
        )

    def hidden(
        self,
        inputs: Float[Array, "time batch channel"],
        present: Bool[Array, "time batch"],
        told: Float[Array, "batch embedded"],
    ) -> Float[Array, "time batch hidden"]:
        """The effort of each muscle that shares, and once more times the speed, with which co-contraction grows."""
        moments = inputs[..., self.reads.moments] + jax.nn.softplus(self.load) * inputs[..., self.reads.loads]
        wanted = jnp.moveaxis(moments, -1, 0)
        arms = self._arms(inputs)
        if self.forearm is not None:
            wanted = jnp.concatenate([wanted, jnp.zeros_like(wanted[:1])])
        effort = share_out(arms * jnp.exp(told + self._strength(inputs, arms)), wanted)
        speed = jnp.sqrt(
            (inputs[..., self.reads.velocities] ** 2).sum(axis=-1, keepdims=True) / max(len(self.reads.velocities), 1)
            + 1e-6
        )
        return self._around(jnp.concatenate([effort, effort * speed], axis=-1), present)

    def mean(self, hidden: Float[Array, "time batch hidden"]) -> Float[Array, "time batch muscle"]:
        """A mix of efforts, and a tone."""
        return hidden @ jax.nn.softplus(self.w_mean) + jax.nn.softplus(self.b_mean)

    @property
    def decaying(self) -> list[Array]:
        """The moment arms, and how these and the strengths change with the posture."""
        arms = [w for w in (self.shoulder, self.elbow, self.forearm) if w is not None]
        change = [jnp.sqrt(DECAY_OF_CHANGE) * w for w in (*(w[1:] for w in arms), self.by_posture)]
        return [*(jnp.sqrt(DECAY) * w[0] for w in arms), *change]

    def hyper(self, general: Hyper) -> Hyper:
        """It has few weights: faster, with less noise, and nothing is dropped out."""
        rate, noise = FASTER * general.learning_rate, 0.5 * general.noise
        return general._replace(learning_rate=rate, noise=noise, dropout=jnp.zeros(()))

    def _arms(self, inputs: Float[Array, "time batch channel"]) -> Float[Array, "joint time batch sharing"]:
        one = jnp.ones((*inputs.shape[:2], 1))
        directions = jnp.concatenate([one, inputs[..., self.reads.directions]], axis=-1)
        hinges = jnp.concatenate([one, inputs[..., self.reads.hinges]], axis=-1)
        at_shoulder = jnp.einsum("tbf,fjk->jtbk", directions, self.shoulder)
        beyond = [hinges @ arms for arms in (self.elbow, self.forearm) if arms is not None]
        return jnp.concatenate([at_shoulder, jnp.stack(beyond)])

    def _strength(
        self, inputs: Float[Array, "time batch channel"], arms: Float[Array, "joint time batch sharing"]
    ) -> Float[Array, "time batch sharing"]:
        """Its logarithm: a muscle is as strong as its length lets it, which the posture gives, and weaker when it shortens."""
        long, fast = MOST
        posture = inputs[..., (*self.reads.directions, *self.reads.hinges)] @ self.by_posture
        shortening = jnp.einsum("jtbk,tbj->tbk", arms[: len(self.reads.turning)], inputs[..., self.reads.turning])
        return jnp.clip(posture, -long, long) - jax.nn.softplus(self.by_speed) * jnp.clip(shortening, -fast, fast)

    def _around(
        self, effort: Float[Array, "time batch sharing"], present: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch sharing"]:
        """The mean over near instants, as far as these are there."""
        weights = jax.nn.softmax(self.taps)
        there = present[..., None].astype(effort.dtype)
        reach = len(weights) // 2
        both = jnp.concatenate([effort * there, there], axis=-1)
        padded = jnp.pad(both, ((reach, reach), (0, 0), (0, 0)))
        summed = sum(w * padded[k : k + len(effort)] for k, w in enumerate(weights))
        return summed[..., :-1] / jnp.maximum(summed[..., -1:], 1e-6)


def share_out(
    arms: Float[Array, "joint *rest sharing"], moments: Float[Array, "joint *rest"]
) -> Float[Array, "*rest sharing"]:
    """Efforts ≥ 0 with the least ½ Σ effort² + ½ `STIFF` Σ (moment that is not made)².

    They are ``max(0, arms' price)``, with a price of each joint's moment, in which the problem has no limits; it is solved by
    Newton's method. Derivatives are those of the last step, which by then are those of the solution.
    """
    fixed, wanted = jax.lax.stop_gradient((arms, moments))

    def pull(price: Array, along: Array) -> Array:
        return sum(a * p[..., None] for a, p in zip(along, price))

    def cost(price: Array) -> Array:
        effort = jnp.maximum(pull(price, fixed), 0.0)
        return 0.5 * (effort**2).sum(axis=-1) + (0.5 / STIFF * price**2 - price * wanted).sum(axis=0)

    def newton(price: Array, arms: Array, moments: Array) -> Array:
        pulled = pull(price, arms)
        active = jax.lax.stop_gradient((pulled > 0).astype(pulled.dtype))
        missing = moments - price / STIFF - (arms * pulled * active).sum(axis=-1)
        return _solve(fixed, active, missing)

    def better(price: Array, _: None) -> tuple[Array, None]:
        step = newton(price, fixed, wanted)
        best = jnp.argmin(jnp.stack([cost(price + size * step) for size in STEPS]), axis=0)
        return price + jnp.asarray(STEPS)[best] * step, None

    start = _solve(fixed, jnp.full(arms.shape[1:], 0.5), wanted)
    price = jax.lax.stop_gradient(jax.lax.scan(better, start, None, length=N_NEWTON)[0])
    return jnp.maximum(pull(price + newton(price, arms, moments), arms), 0.0)


def _solve(
    arms: Float[Array, "joint *rest sharing"], active: Float[Array, "*rest sharing"], right: Float[Array, "joint *rest"]
) -> Float[Array, "joint *rest"]:
    """Of ``Σ active arms arms' + 1 / STIFF`` by Cholesky, written out: many small systems are slow otherwise."""
    n = len(arms)
    low: dict[tuple[int, int], Array] = {}
    for i in range(n):
        for j in range(i + 1):
            rest = (arms[i] * arms[j] * active).sum(axis=-1) - sum(low[i, m] * low[j, m] for m in range(j))
            low[i, j] = jnp.sqrt(jnp.maximum(rest + 1 / STIFF, 1e-9)) if i == j else rest / low[j, j]
    half: list[Array] = []
    for i in range(n):
        half.append((right[i] - sum(low[i, m] * half[m] for m in range(i))) / low[i, i])
    found: list[Array] = [right[0]] * n
    for i in reversed(range(n)):
        found[i] = (half[i] - sum(low[m, i] * found[m] for m in range(i + 1, n))) / low[i, i]
    return jnp.stack(found)
