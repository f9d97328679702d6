"""Paired statistics against scipy, enumeration and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from myodrive.errors import OptionError
from myodrive.evaluation.statistics import bootstrap_interval, compare_subjects, holm, wilcoxon_exact


@pytest.mark.parametrize("n", [5, 9, 20, 40])
def test_the_exact_test_agrees_with_scipy_without_ties(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1.0, n)
    oracle = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon_exact(differences).p == pytest.approx(oracle, rel=1e-9)


def test_with_ties_and_zeros_it_is_the_share_of_sign_assignments_at_least_as_far_out() -> None:
    differences = np.array([1.0, 1.0, -1.0, 2.0, 0.0, 3.0, 3.0, -2.0])
    ranks = stats.rankdata(np.abs(differences[differences != 0]))
    sums = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=len(ranks))])
    observed = ranks[differences[differences != 0] > 0].sum()
    share = np.mean(np.abs(sums - ranks.sum() / 2) >= abs(observed - ranks.sum() / 2) - 1e-12)
    found = wilcoxon_exact(differences)
    assert found.p == pytest.approx(share)
    assert found.effect_size == pytest.approx((2 * observed - ranks.sum()) / ranks.sum())
    assert wilcoxon_exact(np.zeros(9)).p == 1.0


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.04, 0.03, 0.5])), [0.04, np.nan, 0.09, 0.09, 0.5])


def test_the_bootstrap_interval_is_near_the_normal_one_for_many_subjects() -> None:
    differences = np.random.default_rng(0).normal(0.2, 1.0, 400)
    half = 1.96 * differences.std() / 20
    np.testing.assert_allclose(
        bootstrap_interval(differences), [differences.mean() - half, differences.mean() + half], atol=0.01
    )


def test_under_eight_subjects_every_difference_is_shown_instead_of_p() -> None:
    table = pd.DataFrame(
        {"a": np.arange(9.0), "b": np.arange(9.0) + 1, "c": np.arange(9.0) ** 2}, index=list("stuvwxyzq")
    )
    few, many = compare_subjects(table[:7], "a"), compare_subjects(table, "a")
    assert few["p"].isna().all() and few["p_holm"].isna().all()
    assert few["differences"][0] == dict.fromkeys("stuvwxy", 1.0)
    assert many["p"].tolist() == pytest.approx([2 / 2**9, wilcoxon_exact((table["c"] - table["a"]).to_numpy()).p])
    assert (many["p_holm"] >= many["p"]).all() and list(many["n"]) == [9, 9]
    with pytest.raises(OptionError, match="no column"):
        compare_subjects(table, "z")
