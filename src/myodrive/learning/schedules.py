"""How the work of a population's search is laid out: how many members train for how many epochs, and what follows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal

Then = Literal["continue", "branch", "halve", "compete"]
ScheduleName = Literal["branching", "plain"]

# As published: a burn-in of 80 epochs, in which the KL and L2 terms grow, and one more generation of 25.
PLAIN_BURN_IN, PLAIN_GENERATION, PLAIN_GENERATIONS = 105, 25, 15

BURN_IN = 1 / 3  # share of a lineage's epochs that is common to all of its branches
TRIAL = 1 / 24  # the same of a generation that ends with halving
GENERATION = 1 / 12  # and of each that ends with tournaments
ISLANDS = 2  # starts that are branched; their branches never copy each other, so that two different networks come out
SETTLED = 4  # members, where halving stops


@dataclasses.dataclass(frozen=True)
class Round:
    """Some members train for some epochs, and what is done with them before the next round."""

    members: int
    epochs: int
    then: Then = "compete"


Plan = tuple[Round, ...]


def plain(population: int) -> Plan:
    """The published schedule: everybody from the start, tournaments after a long burn-in until the search stalls."""
    later = Round(population, PLAIN_GENERATION)
    return (Round(population, PLAIN_BURN_IN), *[later] * PLAIN_GENERATIONS)


def branching(population: int, epochs: int) -> Plan:
    """A common start, branched into the population, whose worse half is dropped until few are left for tournaments.

    Parameters
    ----------
    population : int
    epochs : int
        Of one lineage, from the start to the end.
    """
    starters, settled = min(ISLANDS, population), min(SETTLED, population)
    burn_in = max(1, round(BURN_IN * epochs))
    rounds, left, members = [Round(starters, burn_in, "branch")], epochs - burn_in, population
    while left > 0:
        halve = members > settled
        length = min(left, max(1, round((TRIAL if halve else GENERATION) * epochs)))
        length = left if left < 1.5 * length else length  # no stub at the end
        rounds.append(Round(members, length, "halve" if halve else "compete"))
        left -= length
        members = max(settled, members // 2)
    return tuple(rounds)


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
    """What of a plan can be done in so many seconds: its last rounds go first, then epochs of the one that is left."""
    while len(plan) > 1 and duration(plan, workers, epoch_s) > seconds:
        plan = plan[:-1]
    if plan and (needed := duration(plan, workers, epoch_s)) > seconds:
        epochs = int(plan[0].epochs * seconds / needed)
        plan = (dataclasses.replace(plan[0], epochs=epochs),) if epochs > 0 else ()
    return plan


def _smaller(population: int, epochs: int) -> Iterator[tuple[int, int]]:
    for share, least in ((1.0, 8), (0.75, 4), (0.5, 2)):
        for members in range(population, min(least, population) - 1, -1):
            yield members, max(1, round(share * epochs))
    for n in range(max(1, epochs // 2), 0, -1):
        yield min(2, population), n


def duration(plan: Plan, workers: int, epoch_s: float) -> float:
    """Seconds that a plan takes when an epoch of one member takes one worker `epoch_s`."""
    return sum(math.ceil(r.members / max(workers, 1)) * r.epochs for r in plan) * epoch_s


def lineage_epochs(plan: Plan) -> int:
    """Epochs from the first start to the last end."""
    return sum(r.epochs for r in plan)


def member_epochs(plan: Plan) -> int:
    """Epochs of all members together: what the search costs."""
    return sum(r.members * r.epochs for r in plan)
