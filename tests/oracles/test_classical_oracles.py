"""The classical estimators against SciPy, closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, optimize, stats
from scipy import signal as sps

from myodrive import truth
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import OptionError, SignalError
from myodrive.from_emg import bayes, lowpass, synergies, whitening
from myodrive.from_emg.bayes import jump_diffusion
from myodrive.recording import make_signal

AS_IS = EmgConditioning(highpass_hz=None, resample_hz=None, clip_quantile=1.0)


def as_signal(values: np.ndarray, rate_hz: float, stage: str) -> xr.DataArray:
    labels = {"muscle": [f"m{i}" for i in range(values.shape[1])]}
    return make_signal(values, ("time", "muscle"), labels, units="1", rate_hz=rate_hz, stage=stage)


# -- low-pass ----------------------------------------------------------------------------------------------------------


def test_the_zero_phase_low_pass_is_scipys_away_from_the_ends() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=(4000, 2)))
    b, a = sps.butter(4, 6.0, fs=500.0)
    expected = sps.filtfilt(b, a, values, axis=0)
    found = lowpass.smooth(as_signal(values, 500.0, "rectified"), 6.0)
    np.testing.assert_allclose(found[500:-500], expected[500:-500], atol=1e-6)


def test_the_causal_low_pass_is_scipys_once_it_has_started_and_lags_by_what_it_says() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=(4000, 1)))
    b, a = sps.butter(2, 6.0, fs=500.0)
    found = lowpass.smooth(as_signal(values, 500.0, "rectified"), 6.0, causal=True)
    np.testing.assert_allclose(found[500:], sps.lfilter(b, a, values, axis=0)[500:], atol=1e-6)
    _, delay = sps.group_delay((b, a), w=[1e-3], fs=500.0)
    assert lowpass.LowPass(causal=True).context().delay_s == pytest.approx(delay[0] / 500.0, abs=2e-4)


def test_a_constant_stays_a_constant_from_the_first_sample_to_the_last() -> None:
    constant = as_signal(np.full((300, 1), 0.7), 500.0, "rectified")
    for causal in (False, True):
        np.testing.assert_allclose(lowpass.smooth(constant, 6.0, causal=causal), 0.7, rtol=1e-9)


def test_a_cut_off_above_half_the_rate_is_refused() -> None:
    with pytest.raises(SignalError, match="sampling rate above"):
        lowpass.smooth(as_signal(np.ones((100, 1)), 50.0, "envelope"), 30.0)


# -- whitening ---------------------------------------------------------------------------------------------------------


def test_the_autoregressive_spectrum_is_that_of_the_process() -> None:
    frequency = np.linspace(0, 0.5, 33)
    lags = 0.8 ** np.arange(3) / (1 - 0.8**2)  # x(t) = .8 x(t-1) + e, the variance of e being 1
    expected = 1 / np.abs(1 - 0.8 * np.exp(-2j * np.pi * frequency)) ** 2
    np.testing.assert_allclose(whitening._spectrum(lags, frequency), expected, rtol=1e-10)


def test_the_minimum_phase_filter_has_the_gain_asked_for_and_its_zeros_inside_the_circle() -> None:
    zeros = np.array([0.9, -0.5, 0.3])
    wanted = np.poly(zeros)
    reversed_gain = np.abs(np.fft.rfft(wanted[::-1], 4096))  # the same gain, with all zeros outside
    np.testing.assert_allclose(whitening._minimum_phase(reversed_gain)[:4], wanted, atol=1e-6)


def test_whitening_takes_a_fifth_off_the_error_of_the_amplitude_of_coloured_noise() -> None:
    rng = np.random.default_rng(0)
    noise = sps.lfilter([1.0], [1.0, -1.6, 0.8], rng.normal(size=(40_000, 1)), axis=0)
    emg = as_signal(noise, 2000.0, "filtered")
    spread = {}
    for estimator in (lowpass.LowPass(conditioning=AS_IS), whitening.WhitenedEnvelope(conditioning=AS_IS)):
        activation = estimator.fit(emg).estimate(emg).activation.values
        spread[estimator.method] = activation.std() / activation.mean()
    assert spread["whitened"] < 0.8 * spread["low-pass"]


def test_another_sampling_rate_than_in_training_is_refused() -> None:
    noise = np.random.default_rng(0).normal(size=(2000, 1))
    fitted = whitening.WhitenedEnvelope(conditioning=AS_IS).fit(as_signal(noise, 1000.0, "filtered"))
    with pytest.raises(SignalError, match="2000 Hz"):
        fitted.estimate(as_signal(noise, 2000.0, "filtered"))


# -- Bayesian filter ---------------------------------------------------------------------------------------------------

LEVELS = np.linspace(np.log(0.05), np.log(3.0), 12)[None]
PARAMETERS = {"diffusion": np.array([2.0]), "jump": np.array([0.5]), "shape": np.array([7.0])}


def small_blocks(power: int, n_time: int = 230, step: int = 10) -> jump_diffusion.Blocks:
    rng = np.random.default_rng(3)
    emg = as_signal(rng.normal(size=(n_time, 1)) * np.linspace(0.1, 1, n_time)[:, None], 1000.0, "filtered")
    emg.values[100:107] = np.nan
    return jump_diffusion.Blocks.cut([emg], [np.abs(emg.values)], step, power)


def brute_force(blocks: jump_diffusion.Blocks, power: int, hide: int | None = None, steps: int = 0) -> np.ndarray:
    """The posterior of every step in float64, by sums over all paths (matrices); optionally with steps hidden."""
    n, u = LEVELS.shape[1], LEVELS[0]
    spacing = u[1] - u[0]
    walk = np.diag(np.r_[-1.0, np.full(n - 2, -2.0), -1.0]) + np.eye(n, k=1) + np.eye(n, k=-1)
    matrix = linalg.expm(0.5 * 2.0 / spacing**2 * jump_diffusion.STEP_S * walk)
    jumped = 1 - np.exp(-0.5 * jump_diffusion.STEP_S)
    matrix = (1 - jumped) * matrix + jumped / n
    y, filled, stretch = blocks.y[:, 0], blocks.filled[:, 0], blocks.stretch[:, 0]
    posterior = np.full((y.size, n), 1 / n)
    for i in np.flatnonzero(stretch >= 0):
        mates = np.flatnonzero(stretch == stretch[i])

        def seen(j: int) -> np.ndarray:
            if hide is not None and abs(j - hide) < steps:
                return np.ones(n)
            # scipy's gamma density, raised to what a step counts for
            strength = jump_diffusion.WEIGHT * filled[j]
            return stats.gamma.pdf(y[j], a=7.0, scale=np.exp(power * u) / 7.0) ** strength

        left, right = np.full(n, 1 / n), np.ones(n)
        for j in mates[mates < i]:
            left = matrix @ (left * seen(j))
            left /= left.sum()
        for j in mates[mates > i][::-1]:
            right = matrix @ (right * seen(j))
            right /= right.sum()
        posterior[i] = left * seen(i) * right
        posterior[i] /= posterior[i].sum()
    return posterior


@pytest.mark.parametrize("power", [1, 2])
def test_forward_backward_is_the_brute_force_posterior(power: int) -> None:
    blocks = small_blocks(power)
    model = jump_diffusion.Model.of(PARAMETERS, LEVELS, power, jump_diffusion.STEP_S)
    past, future = model.messages(blocks)
    used = blocks.stretch[:, 0] >= 0
    found = model.smoothed(past, future, blocks)[used, 0]
    np.testing.assert_allclose(found, brute_force(blocks, power)[used], atol=2e-5)
    assert used.sum() == 23  # ten steps, then thirteen after the gap, the last of them short


def test_the_held_out_score_is_the_brute_force_prediction() -> None:
    blocks, steps = small_blocks(1), 3
    model = jump_diffusion.Model.of(PARAMETERS, LEVELS, 1, jump_diffusion.STEP_S, steps)
    whole = np.flatnonzero(blocks.filled[:, 0] == 1)
    expected = []
    for i in whole:
        weights = brute_force(blocks, 1, hide=int(i), steps=steps)[i]
        density = stats.gamma.pdf(blocks.y[i, 0], a=7.0, scale=np.exp(LEVELS[0]) / 7.0)
        expected.append(np.log(weights @ density))
    assert model.held_out(blocks, steps)[0] == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_transition_of_two_steps_is_that_of_one_step_twice() -> None:
    once, twice = (jump_diffusion.transition(np.array([3.0]), np.array([0.3]), LEVELS, t)[0] for t in (0.01, 0.02))
    np.testing.assert_allclose(once @ once, twice, atol=1e-12)


def test_quantiles_of_an_even_posterior_are_even() -> None:
    posterior = np.full((1, 1, 12), 1 / 12)
    low, high = jump_diffusion.quantiles(posterior, LEVELS, (0.25, 0.75))
    spacing = LEVELS[0, 1] - LEVELS[0, 0]
    assert np.log(low[0, 0]) == pytest.approx(LEVELS[0, 0] + 2.5 * spacing)
    assert np.log(high[0, 0]) == pytest.approx(LEVELS[0, 0] + 8.5 * spacing)


extreme = st.floats(min_value=-30, max_value=30).map(lambda exponent: 10.0**exponent) | st.just(0.0)


@settings(max_examples=40, deadline=None)
@given(diffusion=extreme, jump=extreme, shape=st.floats(min_value=-6, max_value=6).map(lambda e: 10.0**e))
def test_the_filter_is_stable_for_any_parameter(diffusion: float, jump: float, shape: float) -> None:
    blocks = small_blocks(1)
    values = {"diffusion": diffusion, "jump": jump, "shape": shape}
    model = jump_diffusion.Model.of({k: np.array([v]) for k, v in values.items()}, LEVELS, 1, jump_diffusion.STEP_S, 3)
    np.testing.assert_allclose(model.transition.sum(axis=2), 1, rtol=1e-9)
    past, future = model.messages(blocks)
    for posterior in (past, model.smoothed(past, future, blocks)):
        assert np.isfinite(posterior).all() and (posterior >= 0).all()
        np.testing.assert_allclose(posterior.sum(axis=-1), 1, rtol=1e-4)
    assert np.isfinite(model.held_out(blocks, 3)).all()


def test_the_causal_filter_lags_by_about_what_it_says() -> None:
    recording = truth.simulate_recording("reference", seed=2001, n_muscles=2, duration_s=20)
    fitted = bayes.BayesFilter(causal=True).fit(recording)
    smoothed = bayes.BayesFilter().fit(recording).estimate(recording).activation.values
    causal = fitted.estimate(recording).activation.values
    shifts = np.arange(0, 60)  # of 2 ms
    match = [np.corrcoef(causal[100 + s : 9900, 0], smoothed[100 : 9900 - s, 0])[0, 1] for s in shifts]
    assert fitted.context().delay_s == pytest.approx(2e-3 * np.argmax(match), abs=0.02)


@pytest.mark.parametrize("likelihood", ["laplace", "gaussian"])
def test_parameters_by_held_out_likelihood_come_near_the_best_low_pass(likelihood: str) -> None:
    from myodrive.evaluation.truth_scoring import score_against_truth

    recording = truth.simulate_recording("reference", seed=2002, n_muscles=3, duration_s=30)
    found = score_against_truth(bayes.BayesFilter(likelihood=likelihood).fit(recording).estimate(recording), recording)
    best = max(
        score_against_truth(lowpass.LowPass(cutoff_hz=c).fit(recording).estimate(recording), recording).r2
        for c in (2.0, 3.0, 4.0, 6.0)
    )
    assert found.r2 > best - 0.02
    assert 0.75 < found.coverage < 0.99


# -- synergies ---------------------------------------------------------------------------------------------------------


def test_least_squares_with_missing_entries_is_scipys() -> None:
    rng = np.random.default_rng(0)
    basis, x = rng.random((6, 3)), rng.random((5, 6))
    x[0, 1] = x[3, :3] = np.nan
    found = synergies.nonnegative_least_squares(x, basis, np.zeros((5, 3)), sweeps=3000)
    for row, amounts in zip(x, found):
        seen = np.isfinite(row)
        np.testing.assert_allclose(amounts, optimize.nnls(basis[seen], row[seen])[0], atol=1e-6)


def test_an_exact_factorisation_is_found_through_missing_entries() -> None:
    rng = np.random.default_rng(1)
    c, w = rng.random((300, 2)) * (rng.random((300, 2)) < 0.6), rng.random((6, 2))
    x = c @ w.T
    shown = np.where(rng.random(x.shape) < 0.15, np.nan, x)
    found_c, found_w = synergies.factorise(shown, 2)
    assert np.sum((found_c @ found_w.T - x) ** 2) < 5e-3 * np.sum(x**2)


def test_held_out_entries_give_the_number_of_drives() -> None:
    recording = truth.simulate_recording("gait", seed=2003, n_muscles=8, n_latents=3, duration_s=30)
    fitted = synergies.Synergies(cutoff_hz=4.0).fit(recording)
    assert fitted.rank_ == 3
    assert fitted.synergies_.shape == (8, 3)


def test_a_rank_above_the_number_of_muscles_is_refused() -> None:
    noise = as_signal(np.random.default_rng(0).normal(size=(1000, 2)), 1000.0, "raw")
    with pytest.raises(OptionError, match="only 2 muscles"):
        synergies.Synergies(rank=3).fit(noise)
