"""What networks keep to that hear no future, serve several sessions, know an input or miss a muscle.

Networks have a few units; where training would only cost time they stay as they were drawn.
"""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from myodrive.errors import SignalError
from myodrive.from_emg.lfads import LFADS, posterior
from myodrive.from_emg.lfads.adaptation import starting_point
from myodrive.from_emg.lfads.alignment import align
from myodrive.from_emg.lfads.choices import best, score_in_blocks
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, Sizes, encode, of_session
from myodrive.from_emg.lfads.objective import Batch, Hyperparameters, LFADSTask
from myodrive.from_emg.lfads.problem import make_problem
from myodrive.learning.loop import Trained
from myodrive.recording import Recording, Study, make_signal

SIZES = Sizes(n_muscle=2, ic_encoder=3, ci_encoder=3, controller=3, generator=4, n_initial=2, n_input=1, n_factor=2)
HYPER = Hyperparameters(*(jnp.asarray(v, jnp.float32) for v in (1e-2, 50.0, 0.1, 0.4, 0.2, 0.1, 0.1, 0.01, 0.01, 5.0)))
TINY = {
    "window_s": 0.2, "overlap_s": 0.1, "bin_s": 0.02, "block_s": 0.04, "validation_gap_s": 0.0, "ic_encoder": 3, "ci_encoder": 3,
    "controller": 3, "generator": 4, "n_initial": 2, "n_input": 1, "n_factor": 2, "batch_size": 8, "max_epochs": 2, "n_samples": 3,
    "whiten": False, "unmix": False,
}  # fmt: skip
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles fast, runs slowly
encoded = quick_jit(encode)
moments = quick_jit(posterior._moments.__wrapped__, static_argnames="n_samples")


def network(sizes=SIZES, seed=0):
    several = (sizes.n_session,) if sizes.n_session > 1 else ()
    null = jnp.zeros((*several, 2, sizes.n_muscle))
    return quick_jit(Network.create, static_argnums=0)(sizes, null, jax.random.PRNGKey(seed))


def recording(seconds=4.0, seed=0, labels=("m0", "m1", "m2"), subject="", **signals):
    """An envelope already, at the rate that estimators use, so that nothing is filtered."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(500 * seconds)) / 500
    drive = 1.2 + np.sin(2 * np.pi * 0.7 * time[:, None] + np.arange(len(labels)))
    emg = make_signal(
        drive * rng.gamma(1.0, 1.0, (time.size, len(labels))), ("time", "muscle"), {"muscle": labels}, units="V", rate_hz=500
    )  # fmt: skip
    return Recording({"emg": emg.assign_attrs(stage="rectified"), **signals}, subject=subject)


@pytest.fixture
def untrained(monkeypatch):
    """Estimators whose networks stay as they were drawn."""

    def run(self, problem, *, n_epochs, start=None, **rest):
        weights = problem.start(jax.random.PRNGKey(0)) if start is None else start
        return Trained(weights, [{"epoch": 0.0, "validation": 0.0, "seconds": 0.0}], 0, 0, "epochs")

    monkeypatch.setattr(LFADS, "_run", run)
    monkeypatch.setattr(posterior, "_moments", moments)


# -- no future -------------------------------------------------------------------------------------------------------


def test_the_encoders_of_a_causal_network_hear_no_step_beyond_their_look_ahead():
    look_ahead = 3
    x = jax.random.normal(jax.random.PRNGKey(1), (12, 2, 4))
    changed, last = x.at[8:].add(1.0), 8 - look_ahead
    seen = jnp.ones((12, 2, 2))
    for sizes in (dataclasses.replace(SIZES, look_ahead=look_ahead), SIZES):
        before, after = (encoded(network(sizes), a, seen, NO_DROPOUT) for a in (x, changed))
        same = np.array_equal(before.context[:last], after.context[:last])
        assert same == (sizes.look_ahead is not None)
        assert np.array_equal(before.initial_mean, after.initial_mean) == same
        assert not np.array_equal(before.context[last], after.context[last])


def test_a_causal_estimate_changes_with_no_sample_beyond_what_it_says_and_neither_with_the_end(untrained):
    model = LFADS(**TINY, causal=True, look_ahead_s=0.04).fit(recording())
    assert model.context().right == pytest.approx(0.04 + 1.5 * 0.02) and model.context().delay_s == 0
    whole = model.estimate(recording(seed=1))
    changed = recording(seed=1)["emg"].copy(deep=True)
    changed[1000:] *= 4.0  # from 2 s on
    time = whole.activation.time.values
    safe = time < 2.0 - model.context().right
    after = model.estimate(recording(seed=1).with_signal("emg", changed))
    for name in ("activation", "lower", "upper"):
        np.testing.assert_allclose(after.dataset[name][safe], whole.dataset[name][safe], rtol=1e-5)
    assert np.abs(after.activation - whole.activation)[(time > 2.0) & (time < 2.2)].max() > 1e-4
    short = model.estimate(recording(seed=1).with_signal("emg", changed[:1000]))
    np.testing.assert_allclose(short.activation[safe[:1000]], whole.activation[safe], rtol=1e-5)


# -- sessions --------------------------------------------------------------------------------------------------------

TWO = dataclasses.replace(SIZES, n_session=2, n_common=4)


def two_sessions():
    """A network whose sessions differ."""
    net = network(TWO)
    other = jax.tree.map(lambda a: a.at[1].multiply(-0.5), (net.read_in, net.read_out))
    return eqx.tree_at(lambda n: (n.read_in, n.read_out), net, other)


def test_in_a_batch_of_several_sessions_each_window_is_read_as_by_its_own():
    net, x = two_sessions(), jax.random.normal(jax.random.PRNGKey(1), (6, 3, 4))
    session, seen = jnp.array([1, 0, 1]), jnp.ones((6, 3, 2))
    together = encoded(of_session(net, session), x, seen, NO_DROPOUT)
    for s in range(2):
        own = encoded(of_session(net, s), x, seen, NO_DROPOUT)
        for a, b in zip(together[:2], own[:2]):
            np.testing.assert_allclose(a[session == s], b[session == s], rtol=1e-5, atol=1e-6)
    assert not np.allclose(together.initial_mean[session == 0], own.initial_mean[session == 0])


@pytest.mark.parametrize("tune", ["all", "own"])
def test_a_session_learns_from_its_own_windows_and_fine_tuning_first_leaves_the_rest_alone(tune):
    emg = jax.random.gamma(jax.random.PRNGKey(2), 1.5, (8, 4, 2)) + 0.01
    batch = Batch(emg, jnp.tile(jnp.log(emg), 2), jnp.ones_like(emg), jnp.zeros(4, jnp.int32))
    task = LFADSTask(n_time=8, batch_size=4, block=3, tune=tune)
    slopes = quick_jit(jax.grad(lambda net: task.loss(net, batch, HYPER, jax.random.PRNGKey(3), jnp.array(9))[0]))(
        two_sessions()
    )
    for leaf in jax.tree.leaves((slopes.read_in, slopes.read_out)):
        assert np.any(leaf[0] != 0) and not np.any(leaf[1])
    assert np.any(slopes.generator.w_state != 0) == (tune == "all")


def test_aligned_sessions_read_the_same_drives_into_the_same_dimensions_though_their_muscles_differ():
    rng = np.random.default_rng(0)
    drives, mixing = rng.normal(size=(2000, 2)), np.array([[1, 0, 1, 0.9, 0.1], [0, 1, -0.2, 0.2, 1]])
    x = np.tile(drives @ mixing + 0.1 * rng.normal(size=(2000, 5)), (1, 2)).astype(np.float32)
    session = np.repeat([0, 1], 1000)
    present = np.ones((2000, 5), np.float32)
    present[session == 0, 4], present[session == 1, 0] = 0.0, 0.0
    x = np.where(np.tile(present > 0, 2), x / x.std(axis=0), 0.0).astype(np.float32)
    found = align(x, present, session, np.ones((2, 5)), n_common=2, n_factor=3)
    read = np.concatenate([x[session == s] @ found.read_in[s, :10, :2] for s in range(2)])
    relation = np.linalg.lstsq(drives[:1000], read[:1000], rcond=None)[0]  # learned on one session
    assert np.corrcoef((drives @ relation)[1000:, 0], read[1000:, 0])[0, 1] > 0.97  # holds on the other
    assert np.corrcoef((drives @ relation)[1000:, 1], read[1000:, 1])[0, 1] > 0.97
    one, other = np.tile(drives[:1000] @ mixing, 2), np.tile(drives[:1000] @ np.roll(mixing, 1, axis=1), 2)
    assert not np.allclose(one @ found.read_in[0, :10, :2], other @ found.read_in[0, :10, :2])
    all_seen = present[0] @ found.read_in[0, 10:, 2:] + found.read_in_bias[0, 2:]
    np.testing.assert_allclose(all_seen, 0.0, atol=1e-5)  # what can be seen is seen: nothing to say


def test_each_session_is_estimated_with_its_own_muscles_also_after_saving(untrained, tmp_path):
    study = Study([recording(subject="A"), recording(seed=1, subject="B", labels=("m1", "m3"))])
    model = LFADS(**TINY).fit(study)
    first, second = model.estimate(study)
    assert first.muscles == ["m0", "m1", "m2"] and second.muscles == ["m1", "m3"]
    again = LFADS.load(model.save(tmp_path / "both")).estimate(study)
    np.testing.assert_array_equal(again[1].activation, second.activation)
    with pytest.raises(SignalError, match="'C' was not there in training"):
        model.estimate(recording(subject="C"))
    pooled = LFADS(**TINY, sessions=False).fit(Study([recording(subject="A"), recording(seed=1, subject="B")]))
    assert pooled.networks_.read_in is None


# -- a new session ---------------------------------------------------------------------------------------------------


def test_a_saved_network_finds_its_muscles_by_label_in_a_new_session(untrained):
    model = LFADS(**TINY).fit(recording())
    new = LFADS(**TINY)
    trials = new._prepared(recording(labels=("m2", "m9", "m0")), None)
    problem = make_problem(new.config, trials, window_s=0.2, density="gamma")
    net = jax.tree.map(lambda a: a[0], starting_point(model, new, problem))
    old = jax.tree.map(lambda a: a[0], model.networks_)
    x = jax.random.normal(jax.random.PRNGKey(4), (8, 2, 6))
    seen = jnp.ones((8, 2, 3)).at[:, :, 1].set(0.0)  # the second is one that the other does not know
    with_old = encoded(old, x, seen, NO_DROPOUT)
    with_new = encoded(net, x[..., jnp.array([2, 1, 0, 5, 4, 3])], seen.at[:, :, 1].set(1.0), NO_DROPOUT)
    np.testing.assert_allclose(with_new.initial_mean, with_old.initial_mean, rtol=1e-4, atol=1e-6)
    for name, linear in net.read_out.items():
        np.testing.assert_array_equal(linear.weight[:, [2, 0]], old.read_out[name].weight[:, [0, 2]])
        assert not np.any(linear.weight[:, 1])


def test_what_fine_tuning_makes_worse_is_not_kept(untrained, monkeypatch):
    model = LFADS(**TINY).fit(recording())
    monkeypatch.setattr(
        LFADS, "_run", lambda self, problem, *, start, **rest: Trained(spoiled(start), [], 0, 0, "epochs")
    )

    def spoiled(net):
        return eqx.tree_at(lambda n: n.read_out["log_rate"].bias, net, net.read_out["log_rate"].bias + 3.0)

    adapted = model.adapt(recording(seed=5))
    scores = adapted.adaptation_
    assert scores["as it was"] < min(scores["read-in and read-outs"], scores["all weights"])
    np.testing.assert_array_equal(
        adapted.networks_.read_out["log_rate"].bias, model.networks_.read_out["log_rate"].bias
    )
    assert adapted.estimate(recording(seed=6)).activation.notnull().all()


# -- known inputs ----------------------------------------------------------------------------------------------------


def test_a_known_input_reaches_the_generator_with_a_sign_of_whether_it_is_there(untrained):
    time = np.arange(0, 4, 0.01)
    values = np.stack([np.sin(time), time], axis=1)
    values[100:150, 1] = np.nan
    angles = make_signal(values, ("time", "joint"), {"joint": ["knee", "hip"]}, units="deg", time=time)
    with_angles = recording(angles=angles)
    model = LFADS(**TINY, external="angles").fit(with_angles)
    assert model.networks_.from_external.shape == (1, 4, 3 * 4)
    (piece,) = model._pieces(model._trials(with_angles)[0])
    middles = np.arange(len(piece)) * 0.02 + 0.009
    np.testing.assert_allclose(piece.external[5:40, 0], np.sin(middles[5:40]), atol=1e-4)
    assert np.isnan(piece.external[52:73, 1]).all() and np.isfinite(piece.external[80:, 1]).all()
    plain = model.estimate(with_angles).activation
    moved = with_angles.with_signal("angles", angles * 1.5)
    assert np.abs(model.estimate(moved).activation - plain).max() > 1e-4
    assert model.estimate(recording()).activation.notnull().all()  # without it: missing throughout
    with pytest.raises(SignalError, match="no recording has the signal 'angles'"):
        LFADS(**TINY, external="angles").fit(recording())


# -- a missing muscle ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["dead", "left out"])
def test_a_missing_muscle_is_reconstructed_from_the_others_said_so_and_not_called_valid(untrained, how):
    model = LFADS(**TINY).fit(recording())
    model.spread_unseen_ = np.full(3, 30.0)
    emg = recording(seed=1)["emg"].copy(deep=True)
    emg[:, 1] = np.nan
    broken = recording(seed=1).with_signal("emg", emg if how == "dead" else emg.isel(muscle=[0, 2]))
    found = model.reconstruct(broken)
    assert found.activation.notnull().all() and found.muscles == ["m0", "m1", "m2"]
    assert found.valid.sel(muscle=["m0", "m2"]).all() and not found.valid.sel(muscle="m1").any()
    assert "Not recorded, and estimated from the other muscles: m1." in found.notes
    if how == "dead":
        assert not model.estimate(broken).activation.sel(muscle="m1").notnull().any()
        model.spread_unseen_ = np.zeros(3)  # the factor of what is recorded, which is always the least
        narrower = model.reconstruct(broken)
        width, before = ((a.upper - a.lower).mean("time") for a in (found, narrower))
        assert width.sel(muscle="m1") > 2 * before.sel(muscle="m1")
        np.testing.assert_allclose(width.sel(muscle=["m0", "m2"]), before.sel(muscle=["m0", "m2"]), rtol=1e-5)


# -- choices ---------------------------------------------------------------------------------------------------------


def test_windows_of_different_lengths_are_scored_on_the_very_same_hidden_samples(untrained):
    """For a density that ignores time the score can only differ by what is scored."""
    model = LFADS(**TINY)
    trials = model._prepared(recording(seconds=8), None)
    make = partial(make_problem, model.config, trials, density="gamma")
    n_block = make(window_s=0.4).task.n_time
    scores = []
    for window_s in (0.4, 0.14, 0.1):  # the second does not divide the block
        problem = make(window_s=window_s, n_block=n_block)
        net = problem.start(jax.random.PRNGKey(0))
        constant = eqx.tree_at(
            lambda n: [r.weight for r in n.read_out.values()], net, [jnp.zeros((2, 3)), jnp.zeros((2, 3))]
        )
        scores.append(score_in_blocks(constant, problem))
        assert np.abs(score_in_blocks(net, problem) - scores[-1]) > 1e-4
    np.testing.assert_allclose(scores, scores[0], rtol=1e-5)


def test_the_choice_is_the_lowest_score_and_one_that_is_not_finite_is_never_chosen(monkeypatch):
    given = {"a": 0.3, "b": -0.2, "c": float("nan")}
    monkeypatch.setattr("myodrive.from_emg.lfads.choices.score_in_blocks", lambda net, problem: given[problem])
    chosen, scores = best(list("abc"), lambda candidate: candidate, lambda problem: None)
    assert chosen == "b" and scores["a"] == 0.3
