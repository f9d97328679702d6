"""The search: a population of networks that learn, copy each other and change their hyperparameters.

`learning.population_rules` says who copies whom, `learning.schedules` how many train for how long, `learning.crews` where.
Here is what ties them together: between two rounds the whole search is one pytree of arrays (member, …) and a few plain
values, which are saved, and from which it goes on to the same bits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import PyTree

from myodrive.errors import SignalError
from myodrive.learning import population_rules as rules
from myodrive.learning import schedules
from myodrive.learning.checkpoint import load_checkpoint, save_checkpoint
from myodrive.learning.crews import Crew, Order
from myodrive.learning.loop import Progress, State
from myodrive.learning.members import Slice, Trained, joined, stack
from myodrive.learning.population_rules import Range, Values
from myodrive.learning.schedules import Plan, Round

FIRST_EPOCHS = 2  # of a search against the clock: one that compiles, one that tells how long an epoch takes
MARGIN = 0.95  # of the time that is left is planned with


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """What is searched, and for how long.

    Parameters
    ----------
    ranges : dict of Range
        Of the hyperparameters that are searched, fields of the task's `Hyperparameters`.
    start : dict of float
        Their initial values.
    epochs : int
        Of one lineage in the branching schedule.
    longer : float
        How many times as many they may become while the branching search still gains; not against the clock.
    minutes : float, optional
        After which the best so far is taken; population and epochs shrink to what fits.
    checkpoint : path, optional
        File that every round is saved to, and from which the search goes on.
    """

    population: int
    ranges: Mapping[str, Range]
    start: Values
    steps_per_epoch: int
    schedule: schedules.ScheduleName = "branching"
    epochs: int = 60
    longer: float = 1.0
    minutes: float | None = None
    seed: int = 0
    checkpoint: Path | None = None
    fingerprint: str = ""  # of data and configuration
    plan: Plan = ()  # in place of the rounds that the schedule has by itself


@dataclasses.dataclass
class Found:
    """What a search found."""

    islands: int  # members whose numbers differ by a multiple of it descend from the same start
    best: PyTree  # (member, …) averaged weights of each member where they validated best
    best_score: np.ndarray  # (member,), lower is better; inf for a member that never trained
    history: list[dict[str, float]]  # one row for each member and generation
    stopped: str  # "schedule", "stalled" or "minutes"
    skipped: int
    member_steps: int  # of all members together
    seconds: float

    def ranked(self, n: int) -> list[int]:
        """The `n` best members, the best first; but no second of the same start before the first of another."""
        _, first = np.unique(self.best_score, return_index=True)  # in rising order, and without copies
        order = [int(i) for i in first if math.isfinite(self.best_score[i])]
        place = {i: sum(j % self.islands == i % self.islands for j in order[:k]) for k, i in enumerate(order)}
        return sorted(order, key=lambda i: place[i])[:n]


@dataclasses.dataclass
class Story:
    """Everything else that decides how the search goes on, as JSON allows."""

    plan: list[tuple[int, int, str, float]]
    done: int = 0  # rounds
    alive: list[int] = dataclasses.field(default_factory=list)
    hyper: list[Values] = dataclasses.field(default_factory=list)  # of each member
    parents: list[int] = dataclasses.field(default_factory=list)  # whose weights each member went into this round with
    smoothed: list[float] = dataclasses.field(default_factory=list)
    best_at: list[int] = dataclasses.field(default_factory=list)  # the round of each member's best weights
    steps: list[int] = dataclasses.field(default_factory=list)  # of each member's lineage
    member_steps: int = 0  # of all together
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    epoch_s: float = 0.0  # of one worker for an epoch of one member, compilation apart
    compile_s: float = 0.0
    stopped: str = ""

    @property
    def rounds(self) -> Plan:
        return tuple(Round(*r) for r in self.plan)  # type: ignore[arg-type]


def search(
    options: SearchOptions,
    weights: Callable[[int], PyTree],
    hyper: Any,
    crew: Crew,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> Found:
    """Search until the schedule is over, nothing is gained any more, or the minutes are over.

    Parameters
    ----------
    options : SearchOptions
    weights : callable
        The weights that member i starts from.
    hyper : Hyperparameters
        A NamedTuple of arrays, of which the fields in `options.ranges` are searched and the others stay.
    crew : Crew
        Who trains; not closed here.
    progress : callable, optional
        Told after each slice that was trained.

    Raises
    ------
    OptionError
        If the checkpoint is of another search.
    SignalError
        If no member has a finite score.
    """
    arrays, story = _resumed(options, *_start(options, weights, crew))
    since = time.monotonic() - story.seconds
    while not story.stopped:
        best_before = arrays.best_score.copy()
        trained = _train(options, arrays, story, hyper, crew, progress, since)
        story = _told(options, story, trained, arrays.best_score < best_before)
        story.seconds = time.monotonic() - since
        story.plan = _fitted_to_time(options, story, crew.at_once)
        arrays, story = _next_generation(options, arrays, story)
        _save(options, arrays, story)
    skipped = sum(int(row["skipped"]) for row in story.history)
    return Found(
        _n_islands(options),
        arrays.best,
        arrays.best_score,
        story.history,
        story.stopped,
        skipped,
        story.member_steps,
        story.seconds,
    )


def as_table(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """The history, one row for each member and generation: parent, hyperparameters, scores, steps."""
    whole = ("generation", "member", "parent", "steps", "skipped")
    table = pd.DataFrame(list(history))
    return table.astype({name: int for name in whole if name in table})


# -- one round -------------------------------------------------------------------------------------------------------


def _train(
    options: SearchOptions,
    arrays: Slice,
    story: Story,
    hyper: Any,
    crew: Crew,
    progress: Callable[[Progress], None] | None,
    since: float,
) -> Trained:
    """All living members through the epochs of the round; their new state is put in place of the old."""
    per_slice = len(story.alive) if crew.together else 1
    slices = [story.alive[i : i + per_slice] for i in range(0, len(story.alive), per_slice)]
    orders = [_order(options, arrays, story, hyper, members) for members in slices]
    results: dict[int, Trained] = {}

    def done(place: int, trained: Trained) -> None:
        _put(arrays, slices[place], trained.slice)
        results[place] = trained._replace(slice=())  # one copy of the population is enough
        if progress:
            share = sum(len(slices[p]) for p in results) / len(story.alive)
            progress(_progress(options, story, share, time.monotonic() - since, results))

    crew.train(orders, done)
    return joined([results[i] for i in range(len(slices))])


def _order(options: SearchOptions, arrays: Slice, story: Story, hyper: Any, members: list[int]) -> Order:
    told = [{**_told_to(story, m), "decay_steps": math.inf} for m in members]
    changed = {name: np.array([values[name] for values in told], np.float32) for name in told[0]}
    fixed = {n: np.full(len(members), v, np.float32) for n, v in hyper._asdict().items() if n not in changed}
    index = np.array(members) if len(members) > 1 else slice(members[0], members[0] + 1)  # a view of a single one
    piece = jax.tree.map(lambda a: a[index], arrays)
    keys = np.stack([_key(options.seed, story.done, m) for m in members])
    piece = piece._replace(state=piece.state._replace(key=keys))
    return Order(piece, type(hyper)(**changed, **fixed), story.rounds[story.done].epochs)


def _told_to(story: Story, member: int) -> Values:
    """The hyperparameters that a member learns with in this round: its own, with the round's share of its rate."""
    own = story.hyper[member]
    return {**own, "learning_rate": own["learning_rate"] * story.rounds[story.done].rate}


def _key(seed: int, generation: int, member: int) -> np.ndarray:
    """Of all that a member draws in a generation: batches, what is hidden, dropout, the posterior."""
    digest = hashlib.sha256(f"{seed} {generation} {member}".encode()).digest()
    return np.frombuffer(digest[:8], np.uint32).copy()


def _put(arrays: Slice, members: list[int], new: Slice) -> None:
    for old, rows in zip(jax.tree.leaves(arrays), jax.tree.leaves(new)):
        old[members] = rows


def _told(options: SearchOptions, story: Story, trained: Trained, improved: np.ndarray) -> Story:
    """The story with what the round brought: smoothed scores, steps, a row of history for each member."""
    now = story.rounds[story.done]
    n_steps = now.epochs * options.steps_per_epoch
    story = dataclasses.replace(
        story,
        smoothed=list(story.smoothed),
        best_at=list(story.best_at),
        steps=list(story.steps),
        history=list(story.history),
        member_steps=story.member_steps + n_steps * len(story.alive),
    )
    for member, epochs in zip(story.alive, trained.rows):
        if improved[member]:
            story.best_at[member] = story.done
        for epoch in epochs:
            story.smoothed[member] = rules.smoothed(story.smoothed[member], epoch["validation"])
        story.steps[member] += n_steps
        skipped = sum(epoch["skipped"] for epoch in epochs)
        if skipped > rules.MOST_SKIPPED * n_steps or not math.isfinite(epochs[-1]["validation"]):
            story.smoothed[member] = math.inf  # no finite loss
        whole = {"generation": story.done, "member": member, "parent": story.parents[member]}
        # A term of the loss may be called as the hyperparameter that weighs it.
        last = {f"loss_{name}" if name in options.start else name: value for name, value in epochs[-1].items()}
        outcome = {"score": story.smoothed[member], **last, "skipped": skipped, "steps": story.steps[member]}
        story.history.append({**whole, **_told_to(story, member), **outcome})
    if not any(math.isfinite(story.smoothed[m]) for m in story.alive):
        raise SignalError(
            "no network of the population has a finite loss.",
            remedy="Look at the quality check of the recording for samples far beyond all others.",
        )
    if math.isfinite(trained.epoch_s):
        story.epoch_s = trained.epoch_s
        story.compile_s = max(story.compile_s, trained.first_s - trained.epoch_s)
    return story


# -- between two rounds ----------------------------------------------------------------------------------------------


def _next_generation(options: SearchOptions, arrays: Slice, story: Story) -> tuple[Slice, Story]:
    """Who lives on, with whose weights and which hyperparameters."""
    story = dataclasses.replace(story, done=story.done + 1)
    if story.done == len(story.plan):
        return arrays, dataclasses.replace(story, stopped="schedule" if options.minutes is None else "minutes")
    then, n = story.rounds[story.done - 1].then, story.rounds[story.done].members
    scores = {m: story.smoothed[m] for m in story.alive}
    if then == "compete" and rules.stalled(_bests(story)):
        end = schedules.ending(story.rounds[story.done :])
        if not end:
            return arrays, dataclasses.replace(story, stopped="stalled")
        story.plan = [*story.plan[: story.done], *map(dataclasses.astuple, end)]
        then = "continue"
    elif then == "compete" and _may_last_longer(options, story):
        story.plan = [*story.plan[: story.done], story.plan[story.done - 1], *story.plan[story.done :]]
    if then == "branch":
        sound = {m: s for m, s in scores.items() if math.isfinite(s)}
        # The best of each kind of start: of `AutoLFADS` one that runs forwards in time and one that runs backwards.
        starters = [m for island in _islands(options, sound) for m in rules.survivors(island, 1)]
        alive = list(range(n))
        parents = {m: starters[m % len(starters)] for m in alive}
        explored = alive[_n_islands(options) :]  # the first of each keeps its hyperparameters
        return _copied(options, arrays, story, alive, parents, explored, "first")
    islands, explored, alive = _islands(options, scores), [], story.alive
    parents = {m: m for m in alive}
    if then == "compete":
        parents = {m: p for island in islands for m, p in rules.tournament(island, options.seed, story.done).items()}
        explored = [m for m, p in parents.items() if p != m]
    elif n < len(alive):
        shares = [len(part) for part in np.array_split(np.arange(n), len(islands))]
        alive = sorted(m for island, share in zip(islands, shares) for m in rules.survivors(island, share))
        parents = {m: m for m in alive}
    # Published, a member goes on from where it is. With few members that is too often where it began to overfit.
    back = [m for m in alive if story.best_at[parents[m]] < story.done - 1 and options.schedule == "branching"]
    explored = sorted({*explored, *back}) if then == "compete" else explored
    return _back_to_best(*_copied(options, arrays, story, alive, parents, explored, "step"), back)


def _may_last_longer(options: SearchOptions, story: Story) -> bool:
    """Whether all planned tournaments have been held and there may be one more."""
    last, left = story.rounds[story.done - 1], story.rounds[story.done :]
    over = left == schedules.ending(left)
    epochs = schedules.lineage_epochs(story.rounds) + last.epochs
    return over and options.minutes is None and epochs <= options.longer * options.epochs


def _n_islands(options: SearchOptions) -> int:
    """In the plain schedule all members are together."""
    return 1 if options.schedule == "plain" else min(schedules.ISLANDS, options.population)


def _islands(options: SearchOptions, scores: Mapping[int, float]) -> list[dict[int, float]]:
    """Members that descend from the same start."""
    n = _n_islands(options)
    parts = [{m: s for m, s in scores.items() if m % n == i} for i in range(n)]
    sound = [p for p in parts if any(map(math.isfinite, p.values()))]
    return sound if len(sound) == len(parts) else [dict(scores)]  # one that is lost altogether is settled anew


def _copied(
    options: SearchOptions,
    arrays: Slice,
    story: Story,
    alive: list[int],
    parents: Mapping[int, int],
    explored: Sequence[int],
    which: Any,
) -> tuple[Slice, Story]:
    """Every living member with the weights of its parent, and with its best ones where they are better than its own."""
    source = list(range(len(story.parents)))
    for member, parent in parents.items():
        source[member] = parent
    index, scores = np.array(source), arrays.best_score
    better = np.where(scores[index] < scores, index, np.arange(len(index)))
    hyper = [story.hyper[s] for s in source]
    for m in explored:
        hyper[m] = rules.explore(hyper[m], options.ranges, which, options.seed, story.done, m)
    state = jax.tree.map(lambda a: a[index], arrays.state)
    best = jax.tree.map(lambda a: a[better], arrays.best)
    return Slice(state, best, scores[better]), dataclasses.replace(
        story,
        alive=list(alive),
        hyper=hyper,
        parents=source,
        smoothed=[story.smoothed[s] for s in source],
        best_at=[story.best_at[s] for s in better],
        steps=[story.steps[s] for s in source],
    )


def _back_to_best(arrays: Slice, story: Story, members: Sequence[int]) -> tuple[Slice, Story]:
    """Members that found nothing better in their last round begin the next from the best averaged weights they had."""
    chosen = np.isin(np.arange(len(arrays.best_score)), members)

    def take(best: np.ndarray, now: np.ndarray) -> np.ndarray:
        return np.where(chosen.reshape(-1, *[1] * (now.ndim - 1)), best, now)

    weights, average = (jax.tree.map(take, arrays.best, a) for a in (arrays.state.weights, arrays.state.average))
    smoothed = [float(arrays.best_score[m]) if chosen[m] else s for m, s in enumerate(story.smoothed)]
    state = arrays.state._replace(weights=weights, average=average)
    return arrays._replace(state=state), dataclasses.replace(story, smoothed=smoothed)


def _bests(story: Story) -> list[float]:
    """The lowest score of each generation since tournaments began."""
    first = next(i for i, r in enumerate(story.rounds) if r.then == "compete")
    rows = [row for row in story.history if row["generation"] >= first]
    generations = sorted({row["generation"] for row in rows})
    return [min(row["score"] for row in rows if row["generation"] == g) for g in generations]


# -- time ------------------------------------------------------------------------------------------------------------


def _fitted_to_time(options: SearchOptions, story: Story, at_once: int) -> list[tuple[int, int, str, float]]:
    """With a limit of minutes: the plan, once it is known how long an epoch takes, and later without what does not fit."""
    done, rest = story.rounds[: story.done + 1], story.rounds[story.done + 1 :]
    if options.minutes is not None:
        left = MARGIN * (60 * options.minutes - story.seconds)
        if story.done == 0:
            late = story.compile_s if at_once > done[0].members else 0.0  # workers that have yet to begin
            rest = schedules.fitting(options.population, options.epochs, at_once, story.epoch_s, left - late)
        rest = schedules.shortened(rest, at_once, story.epoch_s, left)
    return [dataclasses.astuple(r) for r in (*done, *rest)]


def _progress(
    options: SearchOptions, story: Story, share: float, elapsed: float, results: Mapping[int, Trained]
) -> Progress:
    plan, total = story.rounds, schedules.member_epochs(story.rounds)
    done = schedules.member_epochs(plan[: story.done]) + share * plan[story.done].members * plan[story.done].epochs
    remaining = elapsed * (total - done) / done
    if options.minutes is not None:
        left = max(60 * options.minutes - elapsed, 0.0)
        remaining = min(left, remaining) if story.done else left
    rows = [row[-1] for trained in results.values() for row in trained.rows]
    best = min([row["score"] for row in story.history] + [row["validation"] for row in rows])
    return Progress(story.done, len(plan), elapsed, remaining, rows[-1], best)


# -- beginning, saving, going on -------------------------------------------------------------------------------------


def _start(options: SearchOptions, weights: Callable[[int], PyTree], crew: Crew) -> tuple[Slice, Story]:
    plan = options.plan or (
        schedules.plain(options.population)
        if options.schedule == "plain"
        else schedules.branching(options.population, options.epochs)
    )
    starters = plan[0].members
    if options.minutes is not None:
        plan = (Round(starters, FIRST_EPOCHS, "continue"),)
    nothing = jnp.zeros(2, jnp.uint32)
    begun = [State.start(weights(i), nothing) for i in range(starters)]
    state = stack([begun[i] if i < starters else begun[0] for i in range(options.population)])
    never = np.full(options.population, np.inf, np.float32)
    n = options.population
    story = Story(
        plan=[dataclasses.astuple(r) for r in plan],
        alive=list(range(starters)),
        hyper=[dict(options.start)] * n,
        parents=list(range(n)),
        smoothed=[math.nan] * n,
        best_at=[0] * n,
        steps=[0] * n,
    )
    if options.schedule == "plain":
        story.hyper = [
            rules.explore(options.start, options.ranges, "first", options.seed, 0, m) if m else dict(options.start)
            for m in range(n)
        ]
    return Slice(state, jax.tree.map(np.copy, state.average), never), story


def _save(options: SearchOptions, arrays: Slice, story: Story) -> None:
    if options.checkpoint:
        save_checkpoint(options.checkpoint, arrays, {"story": dataclasses.asdict(story)}, options.fingerprint)


def _resumed(options: SearchOptions, arrays: Slice, story: Story) -> tuple[Slice, Story]:
    """The saved search, if there is one of the same configuration and data."""
    found = load_checkpoint(options.checkpoint, arrays, options.fingerprint) if options.checkpoint else None
    if found is None:
        return arrays, story
    saved, values = found
    plan = [tuple(r) for r in values["story"]["plan"]]
    return jax.tree.map(np.array, saved), Story(**{**values["story"], "plan": plan})
