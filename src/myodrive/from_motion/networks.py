"""What the networks from movement have in common: windows, an ensemble of folds, intervals, people, saving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from myodrive.estimator import Context, Estimate
from myodrive.from_motion.base import MotionConfig, MotionEstimator
from myodrive.from_motion.training import NOBODY, Hyper, MotionNet, MotionTask, Sequences, run_net
from myodrive.learning.checkpoint import arrays_to_tree, tree_to_arrays
from myodrive.learning.loop import LoopOptions, State, train
from myodrive.paired import Hidden, Stretch, make_folds

STEPS_PER_ROOT_S, STEPS = 25.0, (300, 1500)
FARTHEST = 4.0  # standard deviations of the training features; what lies beyond is held there
AT_ONCE = 64  # sequences that are estimated together
SHORTEST = 64  # steps; sequences are padded to this times a power of √2, so that few lengths are compiled
KNOWN, NEW = 0, 1  # rows of the factors of the interval: for people of the training, and for others


class NetworkConfig(MotionConfig):
    """Options that every network from movement has."""

    step_s: float = Field(default=0.02, gt=0)  # of the network: an envelope at 6 Hz has nothing between
    window_s: float = Field(default=2.5, gt=0)  # of training; the longest trial where that is shorter
    n_folds: int = Field(default=5, ge=2)  # networks, each learned without one fold
    # Of training for each network; never fewer, so nothing is held out to stop by. Without one 25 times the root of the
    # training trials' duration in seconds, but between 300 and 1500.
    n_steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=32, gt=0)  # windows
    learning_rate: float = Field(default=5e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    person_decay: float = Field(default=1e-3, ge=0)  # of what differs between people
    noise: float = Field(default=0.1, ge=0)  # standard deviation of what is added to the standardised features
    dropout: float = Field(default=0.1, ge=0, lt=1)
    n_embed: int = Field(default=4, ge=0)  # numbers that tell one person from another
    nobody: float = Field(default=0.3, ge=0, le=1)  # share of the training in which it is not said who moves
    peak_weight: float = Field(default=0.0, ge=0)  # how much more an error counts where the muscle is active
    interval_level: float = Field(default=0.9, gt=0, lt=1)
    seed: int = 0


class MotionNetwork(MotionEstimator):
    """Base of the networks from movement. A subclass is its `Config` and its `_body`.

    One network is learned without each fold of the training data: some repetitions of everybody, and all of some people
    where there are at least three. The estimate is the mean of the networks that know the person, or of all for somebody
    new. What each says of its own fold scales the interval such that it holds the stated share of those samples, once for
    new repetitions of known people and once for new people.
    """

    Config = NetworkConfig
    config: NetworkConfig
    centre_: np.ndarray  # (channel,) and `spread_`, of the features
    spread_: np.ndarray
    size_: np.ndarray  # (muscle,) standard deviation of the training targets, and their mean in that unit
    level_: np.ndarray
    conformal_: np.ndarray  # (KNOWN or NEW, muscle) half-width of the interval in units of the predicted scale
    subjects_: list[str]  # in the order of the tables of embeddings and gains
    knows_: list[list[str]]  # the subjects that each network was trained on

    # -- what a subclass writes --------------------------------------------------------------------------------------

    def _body(self, n_input: int, key: jax.Array) -> tuple[Any, int]:
        """The network but for its read-out (see `training.Body`), and the number of its hidden features."""
        raise NotImplementedError

    def _described(self) -> str:
        """The network in a few words."""
        raise NotImplementedError

    @property
    def _look_ahead(self) -> int:
        """How many samples of what follows a network reads that else reads forwards only."""
        return 0

    # -- learning ----------------------------------------------------------------------------------------------------

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        self.centre_, self.spread_ = moments(np.concatenate([s.inputs for s in stretches]))
        level, self.size_ = moments(np.concatenate([s.targets for s in stretches]))
        self.level_ = level / self.size_
        self.subjects_ = list(dict.fromkeys(s.subject for s in stretches))
        duration_s = sum(s.time.size for s in stretches) / self.config.rate_hz
        preset = int(np.clip(STEPS_PER_ROOT_S * np.sqrt(duration_s), *STEPS))
        self.n_steps_ = self.config.n_steps or preset
        longest_s = max(s.time.size for s in stretches) / self.config.rate_hz
        self.window_s_ = min(self.config.window_s, longest_s)
        folds = member_folds(stretches, self.config.n_folds)
        keys = jax.random.split(jax.random.PRNGKey(self.config.seed), len(folds))
        self.networks_: list[MotionNet] = []
        self.knows_ = []
        ratios: tuple[list, list] = ([], [])
        for k, (fold, key) in enumerate(zip(folds, keys)):
            taught = {s.subject for s, t in zip(stretches, fold.train) if np.isfinite(s.targets[t]).any()}
            self.knows_.append([s for s in self.subjects_ if s in taught])
            self.networks_.append(self._learned(stretches, fold, key))
            tested = [(s, t) for s, t in zip(stretches, fold.test) if t.any()]
            for (s, test), (mean, scale) in zip(tested, self._predicted(k, [s for s, _ in tested])):
                kind = KNOWN if s.subject in taught else NEW
                ratios[kind].append((np.abs(s.targets - mean) / scale)[test])
        self._calibrate(ratios)

    def _calibrate(self, ratios: tuple[list, list]) -> None:
        """Without held-out people those of the training stand for new ones, and the other way round."""
        n_muscle = self.size_.size
        both = [np.concatenate(r) if r else np.full((1, n_muscle), np.nan) for r in ratios]
        factors = np.stack([calibrated(r, self.config.interval_level) for r in both])
        self.conformal_ = np.where(np.isfinite(factors), factors, factors[::-1])
        self.new_people_ = bool(ratios[NEW])

    def _learned(self, stretches: list[Stretch], fold: Hidden, key: jax.Array) -> MotionNet:
        key_start, key_train = jax.random.split(key)
        c = self.config
        data = self._sequences(stretches, fold.train)
        task = MotionTask(self._n_window, c.batch_size)
        given = (c.learning_rate, self.n_steps_, c.weight_decay, c.person_decay, c.noise, c.dropout, c.nobody)
        hyper = Hyper(*(jnp.float32(v) for v in (*given, c.peak_weight)))
        options = LoopOptions(n_epochs=1, steps_per_epoch=self.n_steps_, patience=1)
        state = State.start(self._network(key_start), key_train)
        network: MotionNet = train(task, state, hyper, data, data, options).weights
        return network

    def _network(self, key: jax.Array) -> MotionNet:
        key_body, key_rest = jax.random.split(key)
        n_embed = self.config.n_embed
        body, n_hidden = self._body(self.centre_.size + n_embed, key_body)
        level = jnp.asarray(self.level_, jnp.float32)
        return MotionNet.create(body, n_hidden, level, len(self.subjects_), n_embed, key_rest)

    def _sequences(self, stretches: list[Stretch], train: Sequence[Bool[np.ndarray, " _time"]]) -> Sequences:
        """All stretches on the network's clock, each as many times as that clock can be laid over them."""
        n_window = self._n_window
        rows: list[tuple[np.ndarray, ...]] = []
        place = 0
        for s, t in zip(stretches, train):
            wanted = np.where(t[:, None], s.targets / self.size_, np.nan)
            standardised = self._standardised(s)
            for read, told in self._clocks(s.time.size):
                n = read.size
                target = np.where((told >= 0)[:, None], wanted[told], np.nan)
                known = np.r_[0, np.cumsum(np.isfinite(target).sum(axis=1))]
                first = np.arange(max(n - n_window, 0) + 1)
                count = known[np.minimum(first + n_window, n)] - known[first]
                who = self.subjects_.index(s.subject)
                rows.append((standardised[read], target, np.full(n, len(rows)), np.full(n, who), place + first, count))
                place += n
        inputs, targets, stretch, people, start, counts = (np.concatenate(column) for column in zip(*rows))
        beyond = ((0, n_window), (0, 0))
        targets = np.pad(targets, beyond, constant_values=np.nan)
        share = np.cumsum(counts, dtype=np.float64)
        return Sequences(
            jnp.asarray(np.pad(inputs, beyond), jnp.float32),
            jnp.asarray(np.nan_to_num(targets), jnp.float32),
            jnp.asarray(np.isfinite(targets)),
            jnp.asarray(np.pad(stretch, beyond[0], constant_values=-1), jnp.int32),
            jnp.asarray(np.pad(people, beyond[0], constant_values=NOBODY), jnp.int32),
            jnp.asarray(start, jnp.int32),
            jnp.asarray(share / share[-1], jnp.float32),
        )

    # -- estimating --------------------------------------------------------------------------------------------------

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        knowing = [k for k, known in enumerate(self.knows_) if stretch.subject in known]
        parts = np.stack([self._predicted(k, [stretch])[0] for k in knowing or range(len(self.networks_))])
        mean = parts[:, 0].mean(axis=0)
        factor = self.conformal_[KNOWN if knowing else NEW]
        half = factor * parts[:, 1].mean(axis=0)
        mean[:, np.isnan(factor)] = np.nan  # never measured
        return Estimate(*(np.maximum(v, 0.0) for v in (mean, mean - half, mean + half)))

    def _predicted(self, k: int, stretches: list[Stretch]) -> list[Float[np.ndarray, "two _time muscle"]]:
        """Mean and scale of one network at every sample of each stretch, in the unit of the targets."""
        known = self.knows_[k]
        rows = []  # (which stretch, features, the samples that are told, who)
        for i, s in enumerate(stretches):
            who = self.subjects_.index(s.subject) if s.subject in known else NOBODY
            standardised = self._standardised(s)
            rows += [(i, standardised[read], told, who) for read, told in self._clocks(s.time.size)]
        rows.sort(key=lambda row: len(row[1]))  # so that those run together are of about one length
        found = [np.full((2, *s.targets.shape), np.nan) for s in stretches]
        at_once = AT_ONCE if len(rows) > self._every else self._every
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            n_time = padded_length(len(some[-1][1]))
            inputs = np.zeros((n_time, at_once, self.centre_.size), np.float32)
            present = np.zeros((n_time, at_once), dtype=bool)
            people = np.full(at_once, NOBODY)
            for j, (_, values, _, who) in enumerate(some):
                inputs[: len(values), j], present[: len(values), j], people[j] = values, True, who
            both = np.stack(run_net(self.networks_[k], jnp.asarray(inputs), jnp.asarray(present), jnp.asarray(people)))
            for j, (i, _, told, _) in enumerate(some):
                found[i][:, told[told >= 0]] = both[:, : told.size, j][:, told >= 0] * self.size_
        return found

    # -- sizes and clocks ----------------------------------------------------------------------------------------------

    @property
    def _every(self) -> int:
        return max(1, round(self.config.step_s * self.config.rate_hz))

    @property
    def _n_window(self) -> int:
        return max(4, round(self.window_s_ * self.config.rate_hz / self._every))

    def _standardised(self, stretch: Stretch) -> Float[np.ndarray, "time channel"]:
        return np.clip((stretch.inputs - self.centre_) / self.spread_, -FARTHEST, FARTHEST)

    def _clocks(self, n_time: int) -> list[tuple[Int[np.ndarray, " _step"], Int[np.ndarray, " _step"]]]:
        """For each way to lay the network's clock over a stretch: the samples it reads, and those it tells.

        With a look ahead it tells of a sample that much later; the last sample is held where there is nothing to look at,
        and where nothing is told there is -1.
        """
        ahead = self._look_ahead
        steps = [np.arange(phase, n_time + ahead, self._every) for phase in range(self._every)]
        told = [np.where(s >= ahead, s - ahead, -1) for s in steps]
        return [(np.minimum(s, n_time - 1), t) for s, t in zip(steps, told)]

    # -- saving and telling ------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        networks = values.pop("networks_")
        arrays |= {f"network{i}{name}": a for i, net in enumerate(networks) for name, a in tree_to_arrays(net).items()}
        return arrays, {**values, "n_networks": len(networks)}

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        networks = {name: a for name, a in arrays.items() if name.startswith("network")}
        super()._restore(
            {n: a for n, a in arrays.items() if n not in networks},
            {k: v for k, v in values.items() if k != "n_networks"},
        )
        like = jax.eval_shape(self._network, jnp.zeros(2, jnp.uint32))
        self.networks_ = [
            arrays_to_tree(
                {n.removeprefix(f"network{i}"): a for n, a in networks.items() if n.startswith(f"network{i}.")}, like
            )
            for i in range(values["n_networks"])
        ]

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def _reservations(self) -> list[str]:
        if self.new_people_:
            return []
        return ["Nobody was held out in training: for a person it does not know the interval may be too narrow."]

    def methods_text(self) -> str:
        c = self.config
        n_steps = getattr(self, "n_steps_", c.n_steps) or "a preset number of"
        return (
            f"Features of the movement were mapped to the envelopes of all muscles together by {self._described()} at "
            f"{1 / c.step_s:g} Hz, with an embedding and a gain of each muscle for each person (windows of {c.window_s:g} s, "
            f"{n_steps} steps of training). The estimate is the mean of {c.n_folds} networks, each learned without one fold of "
            f"the training data, whose errors on it scale the {c.interval_level:.0%} interval, apart for known and for new "
            "people."
        )


def member_folds(stretches: Sequence[Stretch], n_folds: int) -> list[Hidden]:
    """What each network of an ensemble does not learn from: a tenth of all trials, and its share of the people.

    Of five networks each is without a tenth of the trials, so nine tenths of what is known teach the others. Trials of one
    subject and movement are dealt in their order. People are left out where there are at least three. Where there are fewer
    than three trials, blocks of time take their place.
    """
    kinds: dict[tuple[str, str], list[str]] = {}
    for s in stretches:
        own = kinds.setdefault((s.subject, s.movement), [])
        if s.trial not in own:
            own.append(s.trial)
    trials = [t for own in kinds.values() for t in own]
    if len(trials) < 3:
        return make_folds(stretches, n_folds)
    n_deal = 2 * n_folds if len(trials) >= 4 * n_folds else min(n_folds, len(trials))
    starts = np.cumsum([0, *(len(own) for own in kinds.values())])
    deal = {t: (first + i) % n_deal for first, own in zip(starts, kinds.values()) for i, t in enumerate(own)}
    subjects = list(dict.fromkeys(s.subject for s in stretches))
    folds = []
    for k in range(min(n_folds, n_deal)):
        people = subjects[k::n_folds] if len(subjects) >= 3 else []
        held = [np.full(s.time.size, s.subject in people or deal[s.trial] == k) for s in stretches]
        folds.append(Hidden([~h for h in held], held, ", ".join(people) or f"trials {k + 1}"))
    return folds


def moments(
    values: Float[np.ndarray, "time column"],
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Mean and standard deviation of each column over what is known; 0 and 1 for what is not, 1 for what does not vary."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (values - centre) ** 2, 0.0).sum(axis=0) / count)
    return centre, np.where(spread > 1e-9, spread, 1.0)


def calibrated(ratio: Float[np.ndarray, "time muscle"], level: float) -> Float[np.ndarray, " muscle"]:
    """The quantile of held-out |error| / scale (split conformal, 10.1080/01621459.2017.1307116); NaN without a sample.

    Neighbouring samples are not independent, so the promise holds over many trials and not for each.
    """
    factors = np.full(ratio.shape[1], np.nan)
    for i, column in enumerate(ratio.T):
        column = column[np.isfinite(column)]
        if column.size:
            factors[i] = np.quantile(column, min(level * (1 + 1 / column.size), 1.0))
    return factors


def padded_length(n_time: int) -> int:
    """The least of a few lengths that is not shorter."""
    doublings = np.ceil(2 * np.log2(max(n_time, SHORTEST) / SHORTEST) - 1e-9) / 2
    return int(np.ceil(SHORTEST * 2**doublings - 1e-9))
