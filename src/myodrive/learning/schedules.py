"""How the work of a population's search is laid out: how many members train for how many epochs, and what follows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Literal

Then = Literal["continue", "branch", "halve", "compete"]
ScheduleName = Literal["branching", "plain"]

# As published: a burn-in of 80 epochs, in which the KL and L2 terms grow, and one more generation of 25.
PLAIN_BURN_IN, PLAIN_GENERATION, PLAIN_GENERATIONS = 105, 25, 15

STARTS = 4  # of a branching search
BURN_IN = 1 / 6  # share of a lineage's epochs that they train for before the best are branched
ISLANDS = 2  # starts that are branched; their branches never copy each other, so that two different networks come out
TRIAL = 1 / 24  # share of a generation that ends with halving
GENERATION = 1 / 12  # and of each that ends with tournaments
SETTLED, LAST = 8, 4  # members where quick halving stops, and that are left for the second half of the tournaments
FALL, FALLING = (0.5, 0.25, 0.1), 1 / 16  # of the learning rate at the end, and the share of each of these rounds


@dataclasses.dataclass(frozen=True)
class Round:
    """Some members train for some epochs, and what is done with them before the next round."""

    members: int
    epochs: int
    then: Then = "compete"
    rate: float = 1.0  # of each member's learning rate


Plan = tuple[Round, ...]


def plain(population: int) -> Plan:
    """The published schedule: everybody from the start, tournaments after a long burn-in until the search stalls."""
    later = Round(population, PLAIN_GENERATION)
    return (Round(population, PLAIN_BURN_IN), *[later] * PLAIN_GENERATIONS)


def branching(population: int, epochs: int) -> Plan:
    """The best of a few starts, branched into the population, whose worse half is dropped until few are left.

    These compete, and when the search stalls or its time is over they train on with a falling learning rate.

    Parameters
    ----------
    population : int
    epochs : int
        Of one lineage, from the start to the end.
    """

    def part(share: float) -> int:
        return max(1, round(share * epochs))

    rounds, members = [Round(min(STARTS, population), part(BURN_IN), "branch")], population
    while members > SETTLED:
        rounds.append(Round(members, part(TRIAL), "halve"))
        members = max(SETTLED, members // 2)
    fewer = min(LAST, members)
    ending = [Round(fewer, part(FALLING), "continue", rate) for rate in FALL]
    left = epochs - lineage_epochs((*rounds, *ending))
    n = max(2, round(left / part(GENERATION)))
    compete = [Round(members if i < n // 2 else fewer, max(1, round(left / n))) for i in range(n)]
    if fewer < members:
        compete[n // 2 - 1] = dataclasses.replace(compete[n // 2 - 1], then="halve")
    return (*rounds, *compete, *ending)


def ending(plan: Plan) -> Plan:
    """What follows when a search stalls: the rounds with a falling learning rate."""
    return tuple(r for r in plan if r.rate < 1)


def fitting(population: int, epochs: int, workers: int, epoch_s: float, seconds: float) -> Plan:
    """The branching plan that makes the most of so many seconds: first fewer members, then fewer epochs.

    A few members that are trained to the end are better than many that are not.
    """
    for members, n in _smaller(population, epochs):
        plan = branching(members, n)
        if duration(plan, workers, epoch_s) <= seconds:
            return plan
    return branching(1, 1)


def shortened(plan: Plan, workers: int, epoch_s: float, seconds: float) -> Plan:
    """What of a plan can be done in so many seconds: tournaments go first, the last ones first, then epochs of all."""
    rounds = list(plan)
    while duration(rounds, workers, epoch_s) > seconds:
        compete = [i for i, r in enumerate(rounds) if r.then == "compete"]
        if not compete:
            break
        del rounds[compete[-1]]
    share = min(1.0, max(seconds, 0.0) / max(duration(rounds, workers, epoch_s), 1e-9))
    shorter = [dataclasses.replace(r, epochs=int(share * r.epochs + 1e-9)) for r in rounds]
    return tuple(r for r in shorter if r.epochs > 0)


def _smaller(population: int, epochs: int) -> Iterator[tuple[int, int]]:
    for share, least in ((1.0, 8), (0.75, 4), (0.5, 2)):
        for members in range(population, min(least, population) - 1, -1):
            yield members, max(1, round(share * epochs))
    for n in range(max(1, epochs // 2), 0, -1):
        yield min(2, population), n


def duration(plan: Sequence[Round], workers: int, epoch_s: float) -> float:
    """Seconds that a plan takes when an epoch of one member takes one worker `epoch_s`."""
    return sum(math.ceil(r.members / max(workers, 1)) * r.epochs for r in plan) * epoch_s


def lineage_epochs(plan: Sequence[Round]) -> int:
    """Epochs from the first start to the last end."""
    return sum(r.epochs for r in plan)


def member_epochs(plan: Sequence[Round]) -> int:
    """Epochs of all members together: what the search costs."""
    return sum(r.members * r.epochs for r in plan)
