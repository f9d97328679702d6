"""Our side: what a search does in each of its processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

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
from myodrive.from_emg.lfads.objective import Hyperparameters, LFADSTask, Windows
from myodrive.from_emg.lfads.posterior import posterior_of_mean
from myodrive.learning.loop import State, run_steps, score

HYPER = {
    "learning_rate": 2e-3, "decay_steps": np.inf, "dropout": 0.05, "hide_rate": 0.5, "block_rate": 0.0,
    "kl_initial": 1e-6, "kl_input": 1e-6, "l2_generator": 1e-6, "l2_controller": 1e-6, "ramp_steps": 50,
}  # fmt: skip


def sizes_of(m: Model) -> Sizes:
    return Sizes(N_MUSCLE, m.encoder, m.encoder, m.controller, m.generator, m.n_initial, m.n_input, m.n_factor)


class Setting(NamedTuple):
    """What all members learn from, and where each starts."""

    task: LFADSTask
    training: Windows
    validation: Windows
    hyper: Hyperparameters
    start: Callable[[PRNGKeyArray], Network]
    asked: tuple[np.ndarray, np.ndarray]  # the validation trials as the encoders read them, and what of them is there


def setting_of(model: str) -> Setting:
    trials = make_trials()
    together = trials[0].reshape(-1, N_MUSCLE).astype(np.float64)
    centre, scale = feature_statistics(together)
    training, validation = (
        as_windows(a.reshape(-1, N_MUSCLE).astype(np.float64), centre, scale, np.arange(len(a)) * N_TIME, N_TIME)
        for a in trials
    )
    null = jnp.asarray(DENSITIES["gamma"].fit(together), jnp.float32)
    create = jax.jit(Network.create, static_argnums=0)
    return Setting(
        LFADSTask(n_time=N_TIME, batch_size=BATCH, block=10),
        training,
        validation,
        Hyperparameters(**{name: jnp.asarray(value, jnp.float32) for name, value in HYPER.items()}),
        lambda key: create(sizes_of(MODELS[model]), null, key),
        network_input(trials[1].astype(np.float64), centre, scale)[1:],
    )


def memory_of_a_member(setting: Setting) -> float:
    """In MiB, by their shapes: weights, their average and moments, and what the gradient keeps of a batch."""
    task, training, _, hyper, start, _ = setting
    key = jax.random.PRNGKey(0)

    def slope(state: State) -> Any:
        batch = task.draw(training, key)
        return jax.vjp(lambda weights: task.loss(weights, batch, hyper, key, state.step)[0], state.weights)[1]

    state = jax.eval_shape(lambda key: State.start(start(key), key), key)
    arrays = jax.tree.leaves((state, jax.eval_shape(slope, state)))
    return sum(a.size * a.dtype.itemsize for a in arrays) / 2**20


def work(model: str) -> dict[str, Callable[[int], dict[str, float] | None]]:
    """What can be asked for, by name: steps, epochs, posterior means, and what memory a member needs."""
    setting = setting_of(model)
    task, training, validation, hyper, start, asked = setting
    key = jax.random.PRNGKey(0)
    state = State.start(start(key), key)

    def steps(n: int) -> None:
        """Always as many as an epoch has, in one call of one program."""
        nonlocal state
        for _ in range(n // STEPS_PER_EPOCH):
            state = jax.block_until_ready(run_steps(task, state, hyper, training, STEPS_PER_EPOCH)[0])

    def epochs(n: int) -> None:
        for _ in range(n):
            steps(STEPS_PER_EPOCH)
            jax.block_until_ready(score(task, state.average, validation, key))

    def posterior(n: int) -> None:
        networks: Any = jax.tree.map(lambda a: a[None], state.weights)
        for _ in range(n):
            posterior_of_mean(networks, *asked, key, N_DRAWS)

    def needed_memory(n: int) -> dict[str, float]:
        return {"mib": memory_of_a_member(setting)}

    return {"steps": steps, "epochs": epochs, "posterior": posterior, "needed_memory": needed_memory}


if __name__ == "__main__":
    serve(work(sys.argv[1]))
