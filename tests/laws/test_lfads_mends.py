"""What is known to be wrong in public LFADS code is not wrong here. Each test also does it the old way and sees it fail."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from myodrive.conditioning.windows import chop, merge
from myodrive.from_emg.lfads.data import feature_statistics, network_input
from myodrive.from_emg.lfads.densities import FLOOR
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, Sizes, encode
from myodrive.from_emg.lfads.objective import Hyperparameters, LFADSTask, Windows
from myodrive.learning.loop import State, run_steps

SIZES = Sizes(n_muscle=2, ic_encoder=3, ci_encoder=3, controller=3, generator=4, n_initial=2, n_input=1, n_factor=2)
HYPER = Hyperparameters(*(jnp.asarray(v, jnp.float32) for v in (1e-2, np.inf, 0.0, 0.4, 0.2, 0.1, 0.1, 0.0, 0.0, 1.0)))
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles fast, runs slowly


def network(seed=0):
    return quick_jit(Network.create, static_argnums=0)(SIZES, jnp.zeros((2, 2)), jax.random.PRNGKey(seed))


def windows(seed=9, n_time=60):
    emg = jax.random.gamma(jax.random.PRNGKey(seed), 1.5, (n_time, 2)) + FLOOR
    return Windows(emg, jnp.tile(jnp.log(emg), 2), jnp.ones_like(emg), jnp.arange(n_time - 10), jnp.array(n_time - 10))


# -- hidden samples --------------------------------------------------------------------------------------------------


def test_a_hidden_sample_is_no_loud_one_and_nothing_of_what_stands_there_is_seen():
    """The old code writes 0 for it into the logarithm of an EMG whose 95th percentile is 1: that is a loud sample.

    It also divides what is seen by the share that is seen, which at one half squares every amplitude.
    """
    rng = np.random.default_rng(0)
    quiet = rng.gamma(2.0, 0.1, (8, 1, 2))
    loud = quiet.copy()
    loud[3, 0, 0] = 1.0
    missing = quiet.copy()
    missing[3, 0, 0] = np.nan
    centre, scale = feature_statistics(rng.gamma(2.0, 0.1, (500, 2)))
    net, encoded = network(), quick_jit(encode)

    def seen_by_network(emg, hidden_value=None):
        _, x, present = network_input(emg, centre, scale)
        if hidden_value is not None:
            x[3, 0, [0, 2]], present[3, 0, 0] = hidden_value, 0.0
        return encoded(net, jnp.asarray(x), jnp.asarray(present), NO_DROPOUT).context

    hidden = seen_by_network(quiet, hidden_value=0.3)
    np.testing.assert_array_equal(hidden, seen_by_network(loud, hidden_value=7.0))
    np.testing.assert_array_equal(hidden, seen_by_network(missing))
    assert np.max(np.abs(hidden - seen_by_network(loud))) > 1e-2
    assert np.max(np.abs(hidden - seen_by_network(quiet))) > 1e-4

    def old(emg, seen, keep=1.0):
        return np.where(seen, np.log(emg), 0.0) / keep

    seen = np.ones(quiet.shape, bool)
    seen[3, 0, 0] = False
    np.testing.assert_array_equal(old(quiet, seen), old(loud, np.ones_like(seen)))
    np.testing.assert_allclose(np.exp(old(quiet, seen, keep=0.5))[0], quiet[0] ** 2)


# -- validation ------------------------------------------------------------------------------------------------------


def test_validation_scores_the_data_as_they_are_whatever_training_shifts_them_by():
    """The old code shifts the validation windows too, by draws that change what the network is asked."""
    data = windows()._replace(starts=jnp.arange(0, 50, 10), n_starts=jnp.array(5))
    given = (network(), data, jax.random.PRNGKey(0))
    plain, shifted = (LFADSTask(n_time=10, batch_size=4, block=3, shift_bins=n) for n in (0, 4))
    assert str(jax.make_jaxpr(plain.validate)(*given)) == str(jax.make_jaxpr(shifted.validate)(*given))
    assert str(jax.make_jaxpr(plain.draw)(*given[1:])) == str(jax.make_jaxpr(shifted.draw)(*given[1:]))
    score = quick_jit(lambda data: plain.validate(given[0], data, given[2])[0])
    old = score(data._replace(emg=jnp.roll(data.emg, 2, axis=0)))  # asked two bins later than shown
    assert abs(old - score(data)) > 1e-3


# -- windows put together --------------------------------------------------------------------------------------------


def old_merge(windows, overlap):
    """Laid one after the other: what two neighbours share, cross-faded by ``1 - x²``, and what is a window's own."""
    fade = 1 - (np.arange(overlap) / overlap)[:, None] ** 2
    parts = [windows[0][:-overlap]]
    for before, after in itertools.pairwise(windows):
        parts += [before[-overlap:] * fade + after[:overlap] * (1 - fade), after[overlap:-overlap]]
    return np.concatenate([*parts, windows[-1][-overlap:] * fade])


def old_chop(values, window, overlap):
    """Without the tail that does not fill a window."""
    starts = np.arange(0, len(values) - window + 1, window - overlap)
    return values[starts[:, None] + np.arange(window)]


def both_ways(n_time, window, overlap):
    ones = np.ones((n_time, 1))
    pieces, starts = chop(ones, window, overlap)
    return merge(pieces, starts, n_time, overlap), old_merge(old_chop(ones, window, overlap), overlap)


def test_a_single_window_counts_in_full_up_to_its_end():
    """The old merge fades the end of the only window to almost nothing."""
    ours, old = both_ways(100, window=100, overlap=25)
    np.testing.assert_allclose(ours, 1.0)
    assert old[-1, 0] < 0.08


def test_an_overlap_of_more_than_half_a_window_gives_every_sample_once():
    """The old merge gives 1420 samples for 1000: it knows of one neighbour where there are two."""
    ours, old = both_ways(1000, window=100, overlap=60)
    np.testing.assert_allclose(ours, np.ones((1000, 1)))
    assert len(old) == 1420


def test_a_tail_that_fills_no_window_is_estimated_too():
    """The old code leaves it out: 10 of 1010 samples are missing."""
    ours, old = both_ways(1010, window=100, overlap=25)
    np.testing.assert_allclose(ours, np.ones((1010, 1)))
    assert len(old) == 1000


# -- the learning rate -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Line:
    """Something small to learn."""

    def draw(self, data, key):
        return data

    def loss(self, weights, batch, hyper, key, step):
        return jnp.mean((weights["w"][0] * batch + weights["w"][1] - 1) ** 2), {}

    def validate(self, weights, data, key):
        return self.loss(weights, data, None, key, 0)


def test_a_learning_rate_that_is_changed_between_two_generations_is_applied():
    """The old search restores the optimiser with the member's weights, and with it the rate before the change."""
    step = jax.jit(partial(run_steps, Line(), n_steps=1))
    saved, _ = step(State.start({"w": jnp.array([2.0, -1.0])}, jax.random.PRNGKey(0)), HYPER, jnp.arange(3.0))

    def change(rate):
        after, _ = step(saved, HYPER._replace(learning_rate=jnp.float32(rate)), jnp.arange(3.0))
        return after.weights["w"] - saved.weights["w"]

    np.testing.assert_allclose(change(3e-2), 3 * change(1e-2), rtol=1e-4)
    assert np.all(np.abs(change(1e-2)) > 5e-3)

    optimiser = optax.inject_hyperparams(optax.adam)(learning_rate=1e-2)
    restored = optimiser.init(jnp.zeros(2))
    asked = optax.inject_hyperparams(optax.adam)(learning_rate=3e-2)
    old, _ = asked.update(jnp.ones(2), restored)
    np.testing.assert_allclose(old, -1e-2, rtol=1e-4)
