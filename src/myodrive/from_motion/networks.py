"""What the networks from movement have in common: windows, an ensemble of folds, intervals, people, saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field

from myodrive.conditioning.features import is_moment, is_of_load, is_posture, is_turning
from myodrive.estimator import Context, Estimate
from myodrive.from_motion.adaptation import Personal
from myodrive.from_motion.base import MotionConfig, MotionEstimator
from myodrive.from_motion.delay import electromechanical_delay
from myodrive.from_motion.interval import Untaught, width_of
from myodrive.from_motion.load_sharing import LoadSharing, Reads
from myodrive.from_motion.personal import for_one, learn_person
from myodrive.from_motion.sequences import lay_out, run_all
from myodrive.from_motion.training import NOBODY, Hyper, MotionNet, MotionTask, Net, Sequences, with_nobody
from myodrive.learning.calibration import moments
from myodrive.learning.checkpoint import arrays_to_tree, tree_to_arrays
from myodrive.learning.loop import LoopOptions, State, train
from myodrive.learning.processes import side_by_side
from myodrive.paired import Hidden, Stretch, make_folds

Own = TypeVar("Own", bound="MotionNetwork")
STEPS_PER_ROOT_S, STEPS = 45.0, (300, 2500)
FARTHEST = 4.0  # standard deviations of the training features; what lies beyond is held there
N_GUARD = 2  # folds whose networks are adapted while it is tried how far to go
WEIGHTS_PRIOR_S = 10.0  # so much data of a person makes weights of their own count as much as a gain and an offset
# Of the way from what is said of people who were held out to what was measured of them. Each was told by one network; the mean
# of several, which tells new people, is less noisy and has less to be drawn in.
TYPICAL = 0.5
TURNING_RAD_S = 4.0  # unit of how fast an arm turns, the same about all axes
KNOWN, NEW = 0, 1  # rows of the factors of the interval: for people of the training, and for others


class NetworkConfig(MotionConfig):
    """Options that every network from movement has."""

    step_s: float = Field(default=0.02, gt=0)  # of the network: an envelope at 6 Hz has nothing between
    window_s: float = Field(default=2.5, gt=0)  # of training; the longest trial where that is shorter
    n_folds: int = Field(default=5, ge=2)  # networks, each learned without one fold
    # Of training for each network; never fewer, so nothing is held out to stop by. Without one 45 times the root of the
    # training trials' duration in seconds, but between 300 and 2500.
    n_steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=32, gt=0)  # windows
    learning_rate: float = Field(default=5e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    person_decay: float = Field(default=1e-3, ge=0)  # of what differs between people
    noise: float = Field(default=0.05, ge=0)  # standard deviation of what is added to the standardised features
    dropout: float = Field(default=0.1, ge=0, lt=1)
    n_embed: int = Field(default=4, ge=0)  # numbers that tell one person from another
    # Where moments are among the features: beside each network one of muscles that share them, see `LoadSharing`;
    load_sharing: bool = True
    # and windows are learned from as with other loads, of this spread (of the logarithm).
    load_spread: float = Field(default=0.25, ge=0)
    peak_weight: float = Field(default=0.0, ge=0)  # how much more an error counts where the muscle is active
    interval_level: float = Field(default=0.9, gt=0, lt=1)
    # What the interval is to hold: the activity, or the measured envelope with its noise (see `noise_share`).
    interval_of: Literal["activity", "measured"] = "activity"
    seed: int = 0


class MotionNetwork(MotionEstimator):
    """Base of the networks from movement. A subclass is its `Config` and its `_body`.

    One network is learned without each fold of the training data: some repetitions of everybody, and all of some people
    where there are at least three. The estimate is the mean of the networks that know the person, or of all for somebody
    new. What each says of its own fold scales the interval such that it holds the stated share of those samples, once for
    new repetitions of known people and once for new people; by default without the sampling noise of the measured
    envelopes, so that it is an interval of the activity.
    """

    Config = NetworkConfig
    config: NetworkConfig
    centre_: np.ndarray  # (channel,) and `spread_`, of the features
    spread_: np.ndarray
    size_: np.ndarray  # (muscle,) standard deviation of the training targets, and their mean in that unit
    level_: np.ndarray
    delay_s_: np.ndarray  # (muscle,) by which its EMG comes before the movement, see `electromechanical_delay`
    conformal_: np.ndarray  # (KNOWN or NEW, muscle) half-width of the interval in units of the predicted scale
    typical_: np.ndarray  # (gain and offset, muscle) of a new person
    subjects_: list[str]  # in the order of the tables of embeddings and gains, whose last row is of somebody new
    knows_: list[list[str]]  # the subjects that the networks of each fold were trained on
    own_part_: dict[str, float]  # of those adapted to: how much weights of their own count, 0 to 1

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
        self._standardise_by(np.concatenate([s.inputs for s in stretches]))
        level, self.size_ = moments(np.concatenate([s.targets for s in stretches]))
        self.level_ = level / self.size_
        self.subjects_ = list(dict.fromkeys(s.subject for s in stretches))
        duration_s = sum(s.time.size for s in stretches) / self.config.rate_hz
        preset = int(np.clip(STEPS_PER_ROOT_S * np.sqrt(duration_s), *STEPS))
        self.n_steps_ = self.config.n_steps or preset
        longest_s = max(s.time.size for s in stretches) / self.config.rate_hz
        self.window_s_ = min(self.config.window_s, longest_s)
        self.delay_s_ = electromechanical_delay(stretches, self.config.rate_hz)
        folds = member_folds(stretches, self.config.n_folds)
        keys = jax.random.split(jax.random.PRNGKey(self.config.seed), len(folds))
        self.networks_: list[list[Net]] = []  # of each fold
        self.knows_ = []
        self.own_networks_: dict[str, list[Net]] = {}  # of those adapted to
        self.own_part_ = {}
        for fold, learned in zip(folds, side_by_side(partial(self._learned, stretches), folds, keys)):
            taught = {s.subject for s, t in zip(stretches, fold.train) if np.isfinite(s.targets[t]).any()}
            self.knows_.append([s for s in self.subjects_ if s in taught])
            known = [self.subjects_.index(s) for s in self.knows_[-1]]
            self.networks_.append([with_nobody(net, known) for net in learned])
        self._calibrate(self._of_untaught(stretches, folds))

    def _of_untaught(self, stretches: list[Stretch], folds: Sequence[Hidden]) -> tuple[list[Untaught], list[Untaught]]:
        """What was said of what each fold held out, of known and of new people."""
        held: tuple[list[Untaught], list[Untaught]] = ([], [])
        for k, fold in enumerate(folds):
            tested = [(s, t) for s, t in zip(stretches, fold.test) if t.any()]
            own = self._of_fold(k, [s for s, _ in tested])
            near: dict[int, list[np.ndarray]] = {}  # what the other networks say that know the person
            for m in (m for m in range(len(folds)) if m != k):
                both = {*self.knows_[k]} & {*self.knows_[m]}
                some = [i for i, (s, _) in enumerate(tested) if s.subject in both]
                for i, (mean, _) in zip(some, self._of_fold(m, [tested[i][0] for i in some])):
                    near.setdefault(i, []).append(mean)
            for i, ((s, test), (mean, scale)) in enumerate(zip(tested, own)):
                apart = mean - np.mean([mean, *near.get(i, [])], axis=0)
                kind = KNOWN if s.subject in self.knows_[k] else NEW
                held[kind].append(Untaught(s.targets[test], mean[test], scale[test], apart[test]))
        return held

    def _calibrate(self, held: tuple[list[Untaught], list[Untaught]]) -> None:
        """What held-out people say of new ones, and the factors of the interval.

        Without held-out people those of the training stand for new ones, and the other way round.
        """
        nothing = Personal.nothing(self.size_.size)
        typical = nothing
        if held[NEW]:
            measured, said, *_ = map(np.concatenate, zip(*held[NEW]))
            typical = Personal.fit(said, measured, self.size_, self.config.rate_hz).part_way(TYPICAL)
        self.typical_ = np.stack([typical.gain, typical.offset])
        c = self.config
        cutoff_hz = c.cutoff_hz if c.interval_of == "activity" else None
        factors = np.full((2, self.size_.size), np.nan)
        for kind, personal in ((KNOWN, nothing), (NEW, typical)):
            if held[kind]:
                factors[kind] = width_of(held[kind], personal, c.interval_level, c.rate_hz, cutoff_hz)
        self.conformal_ = np.where(np.isfinite(factors), factors, factors[::-1])
        self.new_people_ = bool(held[NEW])

    def _standardise_by(self, inputs: Float[np.ndarray, "_time channel"]) -> None:
        """No moment stays 0, since twice the moments are twice the work, and no turning; cosines stay what they are.

        Moments of a kilogram in the hand are in the unit of those that they are added to.
        """
        centre, spread = moments(inputs)
        posture, turning, of_load = (self._are(kind) for kind in (is_posture, is_turning, is_of_load))
        about_nothing = posture | turning | self._are(is_moment)
        self.centre_ = np.where(about_nothing, 0.0, centre)
        self.spread_ = np.where(about_nothing, np.hypot(centre, spread), spread)
        self.spread_[posture], self.spread_[turning] = 1.0, TURNING_RAD_S
        self.spread_[of_load] = self.spread_[self._are(is_moment) & ~of_load]

    def _are(self, of_kind: Callable[[str], bool]) -> Bool[np.ndarray, " channel"]:
        return np.array([of_kind(name) for name in self._features])

    def _learned(self, stretches: list[Stretch], fold: Hidden, key: jax.Array) -> list[Net]:
        key_start, key_train = jax.random.split(key)
        data = self._sequences(stretches, fold.train, self.subjects_)
        task = MotionTask(self._n_window, self.config.batch_size)
        options = LoopOptions(n_epochs=1, steps_per_epoch=self.n_steps_, patience=1)
        return [
            train(task, State.start(net, key_train), net.hyper(self._hyper()), data, data, options).weights
            for net in self._start(key_start, len(self.subjects_) + 1)
        ]

    def _hyper(self) -> Hyper:
        c = self.config
        given = (c.learning_rate, self.n_steps_, c.weight_decay, c.person_decay, c.noise, c.dropout)
        told = (*given, c.peak_weight, c.load_spread * self._are(is_moment).any(), self._are(is_moment))
        return Hyper(*(jnp.asarray(v, jnp.float32) for v in told))

    def _start(self, key: jax.Array, n_person: int) -> list[Net]:
        """The networks of one fold before they learn, with so many rows of people."""
        key_body, key_rest = jax.random.split(key)
        n_embed = self.config.n_embed
        body, n_hidden = self._body(self.centre_.size + n_embed, key_body)
        level = jnp.asarray(self.level_, jnp.float32)
        nets: list[Net] = [MotionNet.create(body, n_hidden, level, n_person, n_embed, key_rest)]
        reads = Reads.of(self._features) if self.config.load_sharing else None
        if reads:
            nets.append(LoadSharing.create(reads, level.size, n_person, self.config.step_s, key_body))
        return nets

    def _sequences(
        self, stretches: Sequence[Stretch], train: Sequence[Bool[np.ndarray, " _time"]], subjects: list[str]
    ) -> Sequences:
        parts = [
            (self._standardised(s), np.where(t[:, None], s.targets / self.size_, np.nan), subjects.index(s.subject))
            for s, t in zip(stretches, train)
        ]
        return lay_out(parts, self._n_window, self._every, self._look_ahead)

    # -- estimating --------------------------------------------------------------------------------------------------

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        who = stretch.subject
        networks, whom = self._networks_of(who)
        parts = [self._predicted(net, {who: w}, [stretch])[0] for net, w in zip(networks, whom)]
        elsewhere = self._elsewhere(stretch)
        mean, scale = together(parts, networks, elsewhere)
        factor = np.tile(self._factor(who), (len(mean), 1))
        if self._knows(who):  # in a movement of another kind they are told no better than somebody new
            factor[elsewhere >= 1] = self.conformal_.max(axis=0)
        half = factor * scale
        mean[np.isnan(factor)] = np.nan  # never measured
        return Estimate(mean, mean - half, mean + half)  # a person's offset comes before the bounds end at 0

    def _factor(self, who: str) -> Float[np.ndarray, " muscle"]:
        """The half-width of the interval in units of the predicted scale: somebody adapted to is new as far as that went."""
        known, new = self.conformal_
        part = self.own_part_.get(who, 1.0) if self._knows(who) else 0.0
        return known**part * new ** (1.0 - part)

    def _elsewhere(self, stretch: Stretch) -> Float[np.ndarray, " time"]:
        """How far each sample is from what was trained on, 0 to 1; somebody new is 1 throughout.

        A network for use while the movement goes on cannot wait to see of what kind it is.
        """
        if not self._knows(stretch.subject):
            return np.ones(stretch.time.size)
        if self._as_measured:
            return np.zeros(stretch.time.size)
        return np.clip(2.0 * self._distance(stretch) - 1.0, 0.0, 1.0)

    def _networks_of(self, who: str) -> tuple[list[Net], list[int]]:
        """The networks that tell of a person, and who that is in the tables of each."""
        if who in self.own_networks_:
            return self.own_networks_[who], [0] * len(self.own_networks_[who])
        knowing = [net for nets, known in zip(self.networks_, self.knows_) for net in nets if who in known]
        if knowing:
            return knowing, [self.subjects_.index(who)] * len(knowing)
        everyone = [net for nets in self.networks_ for net in nets]
        return everyone, [NOBODY] * len(everyone)

    def _knows(self, who: str) -> bool:
        return who in self.own_networks_ or any(who in some for some in self.knows_)

    def _personal(self, who: str) -> Personal:
        if who in self.people_ or self._knows(who):
            return super()._personal(who)
        gain, offset = self.typical_
        return Personal(gain, offset, np.ones(gain.size))

    def _of_fold(self, k: int, stretches: list[Stretch]) -> list[Float[np.ndarray, "two _time muscle"]]:
        """What the general networks of a fold say together, which know some of the people."""
        people = {s: i for i, s in enumerate(self.subjects_) if s in self.knows_[k]}
        parts = [self._predicted(net, people, stretches) for net in self.networks_[k]]
        elsewhere = [np.full(s.time.size, float(s.subject not in people)) for s in stretches]
        return [together(said, self.networks_[k], away) for said, away in zip(zip(*parts), elsewhere)]

    def _predicted(
        self, network: Net, people: dict[str, int], stretches: list[Stretch]
    ) -> list[Float[np.ndarray, "two _time muscle"]]:
        """Mean and scale at every sample of each stretch, in the unit of the targets; `people` as the network knows them."""
        parts = [(self._standardised(s), people.get(s.subject, NOBODY)) for s in stretches]
        return [both * self.size_ for both in run_all(network, parts, self._every, self._look_ahead)]

    # -- a new person --------------------------------------------------------------------------------------------------

    def _fewer(self: Own) -> Own:
        other = self._copy()
        other.networks_, other.knows_ = self.networks_[:N_GUARD], self.knows_[:N_GUARD]
        return other

    def _towards(self: Own, stretches: Sequence[Stretch], share: float) -> Own:
        """The mean of networks with weights of their own and of the general ones with gain and offset.

        Parts of a sum are written into the gains of the networks, whose mean is the estimate.
        """
        other, who = self._copy(), stretches[0].subject
        networks, whom = self._networks_of(who)
        nets = [for_one(net, w) for net, w in zip(networks, whom)]
        sequences = self._sequences(stretches, [np.ones(s.time.size, dtype=bool) for s in stretches], [who])
        keys = jax.random.split(jax.random.PRNGKey(self.config.seed), len(nets))
        learned = side_by_side(
            lambda net, key: learn_person(net, sequences, net.hyper(self._hyper()), self._n_window, key), nets, keys
        )
        n_known = sum(np.isfinite(s.targets).any(axis=1).sum() for s in stretches)
        part = share * n_known / (n_known + WEIGHTS_PRIOR_S * self.config.rate_hz)  # of the learned weights
        gains = self._gains(stretches).part_way((share - part) / (1.0 - part))
        other.own_networks_[who] = [
            *(for_one(net, 0, 2.0 * part) for net in learned),
            *(for_one(net, 0, 2.0 * (1.0 - part) * gains.gain) for net in nets),
        ]
        other.own_part_[who] = part
        offset = (1.0 - part) * gains.offset
        other._set_personal(who, Personal(np.ones(offset.size), offset, np.ones(offset.size)))
        return other

    def _forget(self, who: str) -> None:
        super()._forget(who)
        self.own_networks_.pop(who, None)
        self.own_part_.pop(who, None)

    def _copy(self: Own) -> Own:
        other = super()._copy()
        other.own_networks_, other.own_part_ = dict(self.own_networks_), dict(self.own_part_)
        return other

    # -- sizes and clocks ----------------------------------------------------------------------------------------------

    @property
    def _every(self) -> int:
        return max(1, round(self.config.step_s * self.config.rate_hz))

    @property
    def _n_window(self) -> int:
        return max(4, round(self.window_s_ * self.config.rate_hz / self._every))

    def _standardised(self, stretch: Stretch) -> Float[np.ndarray, "time channel"]:
        return np.clip((stretch.inputs - self.centre_) / self.spread_, -FARTHEST, FARTHEST)

    # -- saving and telling ------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, values = super()._state()
        own = values.pop("own_networks_")
        groups = [[net for nets in values.pop("networks_") for net in nets], *own.values()]
        for i, nets in enumerate(groups):
            for k, net in enumerate(nets):
                arrays |= {f"network{i}.{k}{name}": a for name, a in tree_to_arrays(net).items()}
        return arrays, {**values, "own": list(own)}

    def _restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        weights = {name: a for name, a in arrays.items() if name.startswith("network")}
        own = values.pop("own")
        super()._restore({n: a for n, a in arrays.items() if n not in weights}, values)
        groups: list[list[Net]] = []
        for i, n_person in enumerate([len(self.subjects_) + 1, *[1] * len(own)]):
            like = jax.eval_shape(lambda key, n=n_person: self._start(key, n), jnp.zeros(2, jnp.uint32))
            n_here = len({name.split(".")[1] for name in weights if name.startswith(f"network{i}.")})
            heads = [f"network{i}.{k}" for k in range(n_here)]
            found = [{n.removeprefix(h): a for n, a in weights.items() if n.startswith(f"{h}.")} for h in heads]
            groups.append([arrays_to_tree(f, like[k % len(like)]) for k, f in enumerate(found)])
        n_kind = len(groups[0]) // len(self.knows_)
        self.networks_ = [groups[0][k : k + n_kind] for k in range(0, len(groups[0]), n_kind)]
        self.own_networks_ = dict(zip(own, groups[1:]))

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def _reservations(self) -> list[str]:
        if self.new_people_:
            return []
        return ["Nobody was held out in training: for a person it does not know the interval may be too narrow."]

    def methods_text(self) -> str:
        c = self.config
        n_steps = getattr(self, "n_steps_", c.n_steps) or "a preset number of"
        delays = getattr(self, "delay_s_", np.array([]))
        less = "activity (the envelope's own sampling noise, read from the errors' spectrum, is taken out)"
        held = less if c.interval_of == "activity" else "measured envelope"
        early = "".join(f" {m} {1e3 * d:.0f} ms," for m, d in zip(getattr(self, "muscles_", []), delays))
        told = f" EMG came before the movement that goes with it by:{early[:-1]}." if early else ""
        shared = (
            " Beside each, and counted half (as much as it for new people and other movements), stands a network of muscles that "
            "share the moments of the joints at the least sum of squares, along moment arms that are learned."
        )
        beside = shared if c.load_sharing and "moments" in c.motion.inputs else ""
        return (
            f"Features of the movement were mapped to the envelopes of all muscles together by {self._described()} at "
            f"{1 / c.step_s:g} Hz, with an embedding and a gain of each muscle for each person (windows of {c.window_s:g} s, "
            f"{n_steps} steps of training). The estimate is the mean of {c.n_folds} networks, each learned without one fold of "
            f"the training data, whose errors on it scale the {c.interval_level:.0%} interval of the {held}, apart for known "
            f"and for new people.{beside}{told}"
        )


def together(
    parts: Sequence[Float[np.ndarray, "two time muscle"]],
    networks: Sequence[Net],
    elsewhere: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "two time muscle"]:
    """The mean of what several networks say, as far as each counts where training is near, or `elsewhere` (1)."""
    counts = np.array([near + (far - near) * elsewhere for near, far in (net.counts for net in networks)])
    return np.einsum("nt,nktm->ktm", counts / counts.sum(axis=0), np.stack(parts))


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
