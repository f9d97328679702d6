"""How well, and how soon, one network recovers the activation of the data set that a public implementation was timed on.

    python benchmarks/lfads_peer_set.py FOLDER --seeds 5

FOLDER holds that set's `lfads_data.py`. The network has the sizes `emg_paper`. It sees the EMG in bins; its estimate is
compared with the true activation at the full rate, as the set's own `r2` does it. CPU time is of training alone, with
compilation apart. Options were chosen on seeds of the maker from 101 on.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from myodrive.evaluation.speed_bench.our_worker import sizes_of
from myodrive.evaluation.speed_bench.work import MODELS
from myodrive.from_emg.lfads.data import as_windows, feature_statistics, network_input, unbinned
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import Network
from myodrive.from_emg.lfads.objective import Hyperparameters, LFADSTask
from myodrive.from_emg.lfads.posterior import posterior_of_mean
from myodrive.learning.loop import State, run_steps, score


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--maker-seed", type=int, help="of another set of the same kind, to choose options on")
    parser.add_argument("--bin", type=int, default=4, help="samples in a bin")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--every", type=int, default=150, help="steps between scores")
    parser.add_argument("--set", action="append", default=[], help="a hyperparameter: kl_input=.01")
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("lfads_data", options.folder / "lfads_data.py")
    assert spec and spec.loader
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    data = maker.make() if options.maker_seed is None else maker.make(seed=options.maker_seed)
    for seed in range(options.seeds):
        print(json.dumps({"seed": seed, "scores": learn(data, maker.r2, options, seed)}), flush=True)


def learn(data: dict, r2, options: argparse.Namespace, seed: int) -> list[dict[str, float]]:
    n_per_bin = options.bin
    train, valid = (binned(data[name].astype(np.float64), n_per_bin) for name in ("train", "valid"))
    n_time, n_muscle = train.shape[1:]
    together = train.reshape(-1, n_muscle)
    centre, scale = feature_statistics(together)
    training, validation = (
        as_windows(a.reshape(-1, n_muscle), centre, scale, np.arange(len(a)) * n_time, n_time) for a in (train, valid)
    )
    values = {
        "learning_rate": 1e-2, "decay_steps": options.steps, "dropout": 0.05, "hide_rate": 0.3, "block_rate": 0.1,
        "kl_initial": 0.02, "kl_input": 0.02, "l2_generator": 1e-3, "l2_controller": 1e-3, "ramp_steps": 100,
    }  # fmt: skip
    values |= {name: float(value) for name, value in (pair.split("=") for pair in options.set)}
    hyper = Hyperparameters(**{name: jnp.asarray(value, jnp.float32) for name, value in values.items()})
    task = LFADSTask(n_time=n_time, batch_size=options.batch, block=max(1, 20 // n_per_bin))
    keys = jax.random.split(jax.random.PRNGKey(seed), 3)
    null = jnp.asarray(DENSITIES["gamma"].fit(together), jnp.float32)
    start = State.start(
        jax.jit(Network.create, static_argnums=0)(sizes_of(MODELS["emg_paper"]), null, keys[0]), keys[1]
    )
    jax.block_until_ready(run_steps(task, start, hyper, training, options.every))  # compiles
    state, rows, spent = start, [], 0.0
    _, x, seen = network_input(valid, centre, scale)
    for done in range(options.every, options.steps + 1, options.every):
        begun = time.process_time()
        state, terms = jax.block_until_ready(run_steps(task, state, hyper, training, options.every))
        spent += time.process_time() - begun
        held_out, _ = score(task, state.average, validation, keys[2])
        mean = posterior_of_mean(jax.tree.map(lambda a: a[None], state.average), x, seen, keys[2], 50)[0]
        estimate = np.stack([unbinned(trial, data["valid"].shape[1], n_per_bin) for trial in mean])
        row = {"steps": done, "cpu_s": spent, "held_out": float(held_out), "r2": r2(data["valid_truth"], estimate)}
        rows.append(row | {"loss": float(terms["loss"])})
        print({name: round(float(value), 4) for name, value in rows[-1].items()}, flush=True)
    return rows


def binned(trials: np.ndarray, n_per_bin: int) -> np.ndarray:
    n_trial, n_time, n_muscle = trials.shape
    return trials.reshape(n_trial, n_time // n_per_bin, n_per_bin, n_muscle).mean(axis=2)


if __name__ == "__main__":
    main()
