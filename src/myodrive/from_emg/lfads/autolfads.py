"""`AutoLFADS`: LFADS whose hyperparameters are found by a population of networks, by held-out likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from pydantic import Field

from myodrive.errors import OptionError
from myodrive.from_emg.lfads.estimator import LFADS
from myodrive.from_emg.lfads.model import Network, directed
from myodrive.from_emg.lfads.options import Count, LFADSConfig
from myodrive.from_emg.lfads.problem import Problem
from myodrive.learning.crews import Alone, Crew, Processes
from myodrive.learning.members import Work
from myodrive.learning.population import SearchOptions, as_table, search
from myodrive.learning.population_rules import Range
from myodrive.learning.processes import usable_cores

RANGES = {
    "learning_rate": Range(5e-4, 2e-2, first=2.0, step=1.3),
    "dropout": Range(0.01, 0.6, first=2.0, step=1.3),
    "hide_rate": Range(0.05, 0.7, first=1.5, step=1.3),
    "block_rate": Range(0.01, 0.3, first=2.0, step=1.3),
    "kl_initial": Range(1e-3, 2.0, first=5.0, step=1.8),
    "kl_input": Range(1e-3, 2.0, first=5.0, step=1.8),
    "l2_generator": Range(1e-4, 1.0, first=10.0, step=1.8),
    "l2_controller": Range(1e-4, 1.0, first=10.0, step=1.8),
}
"""What is searched. Bounds after those published; ours of the KL scales are theirs times the samples in a window."""


class AutoLFADSConfig(LFADSConfig):
    """Options of `AutoLFADS`: those of `LFADS`, whose hyperparameters the search starts from, and of the search."""

    undecisive: ClassVar[set[str]] = {"minutes", "n_samples", "interval_level", "ensemble", "workers", "cluster"}

    max_epochs: Count = 120  # of one lineage, from the first start to the end
    longer: Annotated[float, Field(ge=1)] = 1.7  # times as many, at the most, while the search still gains
    population: Count = 20
    schedule: Literal["branching", "plain"] = "branching"  # plain: as published, about ten times the work
    bounds: dict[str, tuple[float, float]] = Field({})  # of hyperparameters, in place of `RANGES`; equal ones fix it
    ensemble: Count = 2  # best networks that an estimate is made with, of different starts first
    workers: Annotated[int, Field(ge=0)] | None = None  # processes; one for each core by default, 0 for none
    cluster: str | None = None  # address of a Ray cluster whose workers train instead: "auto", or "local" to try it


class AutoLFADS(LFADS):
    """LFADS with a population of networks that copy the better ones and change their hyperparameters as they learn.

    The search needs no labels: networks are compared by the likelihood of samples that were hidden from them, in parts
    of the recording that they never learned from. `minutes=` bounds it, `checkpoint=` makes it go on after a stop.

    Learned: as `LFADS`, with `networks_` the best `ensemble` members; `history_` (one row for each member and
    generation; `history()` as a table), `best_epoch_` (the row of the best), `members_` (who they are),
    `hyperparameters_` (of the best), `member_steps_` (what the search cost), `stopped_`.

    References
    ----------
    Keshtkaran et al. 2022, Nat Methods 19:1572, 10.1038/s41592-022-01675-0.
    Wimalasena et al. 2022, J Neural Eng 19:036013, 10.1088/1741-2552/ac6369.
    """

    method: ClassVar[str] = "autolfads"
    Config = AutoLFADSConfig  # type: ignore[assignment]
    config: AutoLFADSConfig
    references: ClassVar[tuple[str, ...]] = (
        *LFADS.references,
        "Jaderberg M, et al. Population based training of neural networks. 2017. doi:10.48550/arXiv.1711.09846",
        "Keshtkaran MR, Sedler AR, Chowdhury RH, et al. A large-scale neural network training framework for "
        "generalized estimation of single-trial population dynamics. Nat Methods 2022;19:1572-1577. "
        "doi:10.1038/s41592-022-01675-0",
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, (low, high) in self.config.bounds.items():
            if name not in RANGES or not 0 < low <= high:
                raise OptionError(
                    f"{name}: ({low:g}, {high:g}) are no bounds of a hyperparameter.",
                    where="bounds",
                    remedy=f"Give two numbers above 0, the lower first, for: {', '.join(RANGES)}.",
                )
            LFADS(**{name: high})  # which says if that is no value of the option itself

    def history(self) -> pd.DataFrame:
        """The search as a table: generation, member, parent, hyperparameters, scores, steps of the lineage."""
        return as_table(self.history_)

    def methods_text(self) -> str:
        c, network = self.config, self._sizes()
        chosen = ", ".join(f"{name.replace('_', ' ')} {value:.2g}" for name, value in self.hyperparameters_.items())
        widest = len({row["member"] for row in self.history_})  # less than asked for where the minutes were few
        generations = 1 + max(int(row["generation"]) for row in self.history_)
        return (
            f"{self._words_for_channels()}AutoLFADS: a population of {widest} LFADS networks (encoders {network.ic_encoder}, "
            f"controller {network.controller}, generator {network.generator} units, {network.n_input} inferred inputs, "
            f"{network.n_factor} factors) was trained on windows of {self.window_ * self.bin_s_:.3g} s in bins of "
            f"{1000 * self.bin_s_:.3g} ms with coordinated dropout, in {generations} generations ({self.member_steps_} steps of "
            f"single networks in all, schedule “{c.schedule}”): the worse copied the better and changed hyperparameters, "
            f"by the likelihood of samples hidden from the network, in {c.validation_share:.0%} of the recording that "
            f"shares no sample with training. The best network had {chosen}. {self._words_for_model()}"
            f"The activation is the posterior mean of {c.n_samples} draws from the best {len(self.members_)} networks"
            f"{self._words_for_directions()}; {self._words_for_interval()}"
        )

    def _words_for_directions(self) -> str:
        backward = self.networks_.backward
        n = 0 if backward is None else int(np.sum(np.asarray(backward) > 0))
        return f", of which {n} run{'s' if n == 1 else ''} backwards in time" if n else ""

    def _train(self, problem: Problem) -> Network:
        config = self.config
        work = Work(problem.task, problem.training, problem.validation, problem.steps_per_epoch)
        ranges = {name: self._range(name) for name in RANGES}
        start = {name: float(np.clip(getattr(config, name), r.low, r.high)) for name, r in ranges.items()}
        options = SearchOptions(
            population=config.population,
            ranges=ranges,
            start=start,
            steps_per_epoch=problem.steps_per_epoch,
            schedule=config.schedule,
            epochs=config.max_epochs,
            longer=config.longer,
            minutes=self._minutes_left(),
            seed=config.seed,
            checkpoint=Path(config.checkpoint) if config.checkpoint else None,
            fingerprint=problem.fingerprint,
        )
        seed = jax.random.PRNGKey(config.seed)
        crew = self._crew(work)
        try:
            found = search(
                options,
                lambda member: directed(
                    problem.start(jax.random.fold_in(seed, member)), backward=self._backward(member)
                ),
                self._hyperparameters(problem.steps_per_epoch),
                crew,
                progress=self.progress,
            )
        finally:
            crew.close()
        self.members_ = found.ranked(config.ensemble)
        self.history_, self.stopped_, self.skipped_ = found.history, found.stopped, found.skipped
        self.member_steps_ = found.member_steps
        self.best_epoch_ = int(np.nanargmin([row["validation"] for row in found.history]))
        self.hyperparameters_ = {name: found.history[self.best_epoch_][name] for name in RANGES}
        return jax.tree.map(lambda a: jnp.asarray(a[np.array(self.members_)]), found.best)

    def _backward(self, member: int) -> bool:
        """Every second start, and so every second island, runs backwards in time; a causal network cannot."""
        return member % 2 == 1 and not self.config.causal

    def _crew(self, work: Work) -> Crew:
        workers = self.config.workers
        if self.config.cluster:
            from myodrive.learning.cluster import Cluster

            return Cluster(work, self.config.cluster, workers)
        if workers is None:
            workers = usable_cores() if jax.default_backend() == "cpu" else 0
        workers = min(workers, self.config.population)
        return Processes(work, workers) if workers > 1 or self.config.workers else Alone(work)

    def _range(self, name: str) -> Range:
        low, high = self.config.bounds.get(name, (RANGES[name].low, RANGES[name].high))
        return Range(low, high, RANGES[name].first, RANGES[name].step)
