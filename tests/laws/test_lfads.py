"""What training a network must keep to: masks, resuming, repeating, saving; with networks of a few units."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from myodrive.errors import OptionError, SignalError
from myodrive.from_emg.lfads import LFADS
from myodrive.from_emg.lfads.data import binned_stretches, unbinned
from myodrive.from_emg.lfads.densities import FLOOR
from myodrive.from_emg.lfads.model import Network, Sizes
from myodrive.from_emg.lfads.objective import Batch, Hyperparameters, LFADSTask, Windows, hide
from myodrive.learning.loop import State, run_steps
from myodrive.recording import make_signal

SIZES = Sizes(n_muscle=3, ic_encoder=3, ci_encoder=3, controller=4, generator=5, n_initial=3, n_input=2, n_factor=3)
HYPER = Hyperparameters(*(jnp.asarray(v, jnp.float32) for v in (1e-2, 50.0, 0.1, 0.4, 0.2, 0.1, 0.1, 0.01, 0.01, 5.0)))
TINY = {
    "window_s": 0.2, "overlap_s": 0.1, "bin_s": 0.02, "block_s": 0.04, "validation_gap_s": 0.0, "ic_encoder": 4, "ci_encoder": 4,
    "controller": 4, "generator": 6, "n_initial": 3, "n_input": 2, "n_factor": 2, "batch_size": 8, "max_epochs": 2, "n_samples": 3,
}  # fmt: skip


TASK = LFADSTask(n_time=8, batch_size=6, block=3)
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles fast, runs slowly
create = quick_jit(Network.create, static_argnums=0)
few_steps = partial(run_steps, TASK, n_steps=3)
alone_steps = quick_jit(few_steps)


def network(seed=0):
    return create(SIZES, jnp.zeros((2, 3)), jax.random.PRNGKey(seed))


def batch(seed=0):
    emg = jax.random.gamma(jax.random.PRNGKey(seed), 1.5, (8, 4, 3)) + FLOOR
    return Batch(emg, jnp.tile(jnp.log(emg), 2), jnp.ones_like(emg))


def windows():
    emg = jax.random.gamma(jax.random.PRNGKey(9), 1.5, (60, 3)) + FLOOR
    return Windows(emg, jnp.tile(jnp.log(emg), 2), jnp.ones_like(emg), jnp.arange(50), jnp.array(50))


def recording(seconds=6, seed=0, n_muscle=3):
    rng = np.random.default_rng(seed)
    time = np.arange(round(1000 * seconds)) / 1000
    drive = 1.2 + np.sin(2 * np.pi * 0.7 * time[:, None] + np.arange(n_muscle))
    muscles = [f"m{i}" for i in range(n_muscle)]
    return make_signal(
        drive * rng.normal(size=(time.size, n_muscle)), ("time", "muscle"), {"muscle": muscles}, units="V", rate_hz=1000
    )


# -- coordinated dropout ---------------------------------------------------------------------------------------------


@quick_jit
@partial(jax.grad, argnums=(0, 1, 2))
def slopes(net, x, emg, present):
    """With temporal shifts."""
    task = LFADSTask(n_time=8, batch_size=4, block=3, shift_bins=2)
    return task.loss(net, Batch(emg, x, present), HYPER, jax.random.PRNGKey(3), jnp.array(9))[0]


def gradients(data):
    """Of the loss by weights, by what the network is shown and by what is asked of it."""
    return slopes(network(), data.x, data.emg, data.present)


def test_no_sample_is_both_shown_to_the_network_and_asked_of_it():
    _, shown, asked = gradients(batch())
    shown = (shown[..., :3] != 0) | (shown[..., 3:] != 0)  # either feature
    assert not np.any(shown & (asked != 0))
    assert np.any(shown) and np.any(asked != 0)


def test_blocks_hide_all_muscles_at_once_and_singles_do_not():
    hidden = np.array(hide((200, 40, 3), 0.0, 0.3, 5, jax.random.PRNGKey(0)))
    assert np.all(hidden == hidden[:, :, :1]) and 0.2 < hidden.mean() < 0.4
    hidden = np.array(hide((200, 40, 3), 0.3, 0.0, 5, jax.random.PRNGKey(0)))
    assert np.any(hidden != hidden[:, :, :1]) and 0.2 < hidden.mean() < 0.4


def test_a_missing_sample_changes_no_gradient_whatever_stands_there():
    data, missing = batch(), (2, 1, 0)
    present = data.present.at[missing].set(0.0)
    one, other = (
        gradients(Batch(data.emg.at[missing].set(v), data.x.at[missing].set(v), present))[0] for v in (0.5, 7.0)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)):
        np.testing.assert_array_equal(a, b)


# -- the loop --------------------------------------------------------------------------------------------------------


def test_two_members_in_one_program_are_two_single_runs():
    rates = jnp.array([1e-2, 1e-3])
    members = [State.start(network(i), jax.random.PRNGKey(i)) for i in range(2)]
    hypers = [HYPER._replace(learning_rate=r) for r in rates]
    together, hyper = (jax.tree.map(lambda *a: jnp.stack(a), *pair) for pair in (members, hypers))
    both, _ = quick_jit(jax.vmap(few_steps, (0, 0, None)))(together, hyper, windows())
    for i in range(2):
        alone, _ = alone_steps(members[i], hypers[i], windows())
        for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(alone)):
            np.testing.assert_allclose(a[i], b, rtol=2e-3, atol=2e-5)


def test_a_step_that_is_not_finite_is_counted_and_leaves_the_weights_as_they_were():
    broken = windows()._replace(emg=jnp.full((60, 3), jnp.nan))
    start = State.start(network(), jax.random.PRNGKey(0))
    end, _ = alone_steps(start, HYPER, broken)
    assert int(end.skipped) == 3 and int(end.step) == 3
    for one, other in zip(jax.tree.leaves(start.weights), jax.tree.leaves(end.weights)):
        np.testing.assert_array_equal(one, other)


def test_training_that_was_interrupted_goes_on_to_the_same_bits(tmp_path):
    whole = LFADS(**TINY | {"max_epochs": 4}).fit(recording())
    path = str(tmp_path / "run.safetensors")
    first = LFADS(**TINY | {"max_epochs": 4, "checkpoint": path})

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    first.progress = stop
    with pytest.raises(KeyboardInterrupt):
        first.fit(recording())
    second = LFADS(**TINY | {"max_epochs": 4, "checkpoint": path}).fit(recording())
    assert [h["validation"] for h in second.history_] == [h["validation"] for h in whole.history_]
    for one, other in zip(jax.tree.leaves(second.networks_), jax.tree.leaves(whole.networks_)):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(OptionError, match="other data"):
        LFADS(**TINY | {"checkpoint": path}).fit(recording(seed=5))


# -- the estimator ---------------------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_the_estimate_follows_the_drive():
    emg = recording()
    fitted = LFADS(**TINY | {"max_epochs": 25, "learning_rate": 0.02, "dropout": 0.0}).fit(emg)
    assert fitted.history_[fitted.best_epoch_]["validation"] < fitted.history_[0]["validation"] - 0.02
    activation = fitted.estimate(emg).activation
    drive = 1.2 + np.sin(2 * np.pi * 0.7 * activation.time.values[:, None] + np.arange(3))
    for muscle in range(3):
        assert np.corrcoef(drive[:, muscle], activation.values[:, muscle])[0, 1] > 0.8


@pytest.fixture(scope="module")
def fitted():
    return LFADS(**TINY).fit(recording())


def test_saved_and_loaded_it_estimates_the_same_bits_and_so_does_a_second_fit(fitted, tmp_path):
    before = fitted.estimate(recording(seed=1)).dataset
    fitted.save(tmp_path / "lfads")
    for again in (LFADS.load(tmp_path / "lfads"), LFADS(**TINY).fit(recording())):
        after = again.estimate(recording(seed=1)).dataset
        for name in ("activation", "lower", "upper"):
            np.testing.assert_array_equal(before[name], after[name])
    assert LFADS.load(tmp_path / "lfads").history_ == fitted.history_


def test_what_is_missing_stays_missing_and_changes_nothing_on_the_other_side_of_a_gap(fitted):
    emg = recording(seed=2)
    broken = emg.copy(deep=True)
    broken[1000:1300] = np.nan  # a gap in all muscles
    broken[3000:3200, 1] = np.nan  # one muscle drops out
    estimate = fitted.estimate(broken)
    values, valid = estimate.activation.sel(time=slice(1.0, 1.299)), estimate.valid
    assert not np.isfinite(values).any()
    assert not valid.sel(time=slice(3.0, 3.199), muscle="m1").any()
    assert valid.sel(time=slice(3.0, 3.199), muscle="m0").all()
    assert valid.sel(time=slice(1.31, 2.9)).all()
    changed = broken.copy(deep=True)
    changed[1300:] *= 3.0
    before = fitted.estimate(changed).activation.sel(time=slice(0, 0.9))
    np.testing.assert_allclose(before, estimate.activation.sel(time=slice(0, 0.9)), rtol=1e-6)


def test_what_was_learned_from_seconds_only_says_so(fitted):
    notes = fitted.estimate(recording()).notes
    assert any("LFADS learned from" in note and "needs about a minute" in note for note in notes)


def test_the_interval_holds_the_estimate(fitted):
    estimate = fitted.estimate(recording(seed=3))
    assert bool((estimate.lower <= estimate.activation).all() and (estimate.activation <= estimate.upper).all())


def test_a_recording_too_short_to_learn_from_is_refused_in_words():
    with pytest.raises(SignalError, match="too short for a network"):
        LFADS(**TINY).fit(recording(seconds=0.3))


def test_bins_of_which_too_few_make_a_window_are_refused_and_not_the_recording():
    with pytest.raises(OptionError, match=r"bin_s: a window of .* holds \d bins of 1 s"):
        LFADS(**{**TINY, "bin_s": 1.0}).fit(recording())


def test_binning_and_unbinning_leave_a_ramp_where_it_was():
    ramp = make_signal(np.arange(90.0)[:, None], ("time", "muscle"), {"muscle": ["m0"]}, units="V", rate_hz=500)
    ((run, binned),) = binned_stretches(ramp, 10)
    back = unbinned(binned, run.stop - run.start, 10)
    np.testing.assert_allclose(back[5:-5, 0], np.arange(90.0)[5:-5], atol=1e-9)  # level beyond the outermost middles
