"""Our side: what a search does in each of its processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from myodrive.evaluation.speed_bench.serve import serve
from myodrive.evaluation.speed_bench.work import (
    BATCH,
    MODELS,
    N_DRAWS,
    N_MUSCLE,
    N_TIME,
    STEPS_PER_EPOCH,
    Model,
    make_trials,
)
from myodrive.from_emg.lfads.data import as_windows, feature_statistics, network_input
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import Network, Sizes
from myodrive.from_emg.lfads.objective import Hyperparameters, LFADSTask
from myodrive.from_emg.lfads.posterior import posterior_of_mean
from myodrive.learning.loop import State, run_steps, score

HYPER = {
    "learning_rate": 2e-3, "decay_steps": np.inf, "dropout": 0.05, "hide_rate": 0.5, "block_rate": 0.0,
    "kl_initial": 1e-6, "kl_input": 1e-6, "l2_generator": 1e-6, "l2_controller": 1e-6, "ramp_steps": 50,
}  # fmt: skip


def sizes_of(m: Model) -> Sizes:
    return Sizes(N_MUSCLE, m.encoder, m.encoder, m.controller, m.generator, m.n_initial, m.n_input, m.n_factor)


def work(model: str) -> dict[str, Callable[[int], None]]:
    """What can be asked for, by name: steps, epochs, posterior means, and steps of four members in turn."""
    trials = make_trials()
    together = trials[0].reshape(-1, N_MUSCLE).astype(np.float64)
    centre, scale = feature_statistics(together)
    training, validation = (
        as_windows(a.reshape(-1, N_MUSCLE).astype(np.float64), centre, scale, np.arange(len(a)) * N_TIME, N_TIME)
        for a in trials
    )
    null = jnp.asarray(DENSITIES["gamma"].fit(together), jnp.float32)
    task = LFADSTask(n_time=N_TIME, batch_size=BATCH, block=10)
    hyper = Hyperparameters(**{name: jnp.asarray(value, jnp.float32) for name, value in HYPER.items()})
    create = jax.jit(Network.create, static_argnums=0)
    keys = jax.random.split(jax.random.PRNGKey(0), 5)
    members = [State.start(create(sizes_of(MODELS[model]), null, key), key) for key in keys[:1]]
    _, x, seen = network_input(trials[1].astype(np.float64), centre, scale)

    def steps(n: int, member: int = 0) -> None:
        state, _ = run_steps(task, members[member], hyper, training, n)
        members[member] = jax.block_until_ready(state)

    def epochs(n: int) -> None:
        for _ in range(n):
            steps(STEPS_PER_EPOCH)
            jax.block_until_ready(score(task, members[0].average, validation, keys[0]))

    def posterior(n: int) -> None:
        networks: Any = jax.tree.map(lambda a: a[None], members[0].weights)
        for _ in range(n):
            posterior_of_mean(networks, x, seen, keys[0], N_DRAWS)

    def more_members(n: int) -> None:
        while len(members) < 5:
            members.append(State.start(create(sizes_of(MODELS[model]), null, keys[len(members)]), keys[len(members)]))
        for member in range(5):
            steps(n, member)

    return {"steps": steps, "epochs": epochs, "posterior": posterior, "more_members": more_members}


if __name__ == "__main__":
    serve(work(sys.argv[1]))
