"""`AutoLFADS` as an estimator: found, fitted, saved, told in the report; with a population of networks of a few units."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_lfads import TINY, recording

from myodrive.errors import OptionError
from myodrive.estimator import estimators
from myodrive.from_emg.lfads import AutoLFADS
from myodrive.from_emg.lfads.autolfads import RANGES
from myodrive.learning.schedules import branching, member_epochs
from myodrive.reporting.search import search_charts

SEARCH = TINY | {"population": 5, "max_epochs": 6, "workers": 0, "ensemble": 2, "longer": 1.0}


@pytest.fixture(scope="module")
def fitted() -> AutoLFADS:
    return AutoLFADS(**SEARCH, bounds={"dropout": (0.1, 0.1)}).fit(recording())


def test_it_is_found_by_its_name():
    assert estimators("from_emg")["autolfads"] is AutoLFADS


def test_the_history_is_a_table_of_parents_hyperparameters_scores_and_steps(fitted):
    table = fitted.history()
    assert {"generation", "member", "parent", *RANGES, "score", "validation", "steps"} <= set(table.columns)
    assert table["validation"].min() == fitted.history_[fitted.best_epoch_]["validation"]
    assert set(table["dropout"]) == {0.1}  # bounds that are equal fix it
    assert table["learning_rate"].nunique() > 3
    assert fitted.hyperparameters_["learning_rate"] == fitted.history_[fitted.best_epoch_]["learning_rate"]
    assert fitted.member_steps_ == 20 * member_epochs(branching(5, 6))


def test_estimates_are_those_of_the_best_networks_and_survive_saving(fitted, tmp_path):
    assert len(fitted.members_) == len(fitted.networks_.prior_mean) == 2
    fitted.save(tmp_path / "auto")
    again = AutoLFADS.load(tmp_path / "auto")
    np.testing.assert_array_equal(
        again.estimate(recording(seed=1)).activation, fitted.estimate(recording(seed=1)).activation
    )
    assert again.history_ == fitted.history_
    text = again.methods_text()
    assert "a population of 5" in text and "best 2 networks" in text and "dropout 0.1" in text


def test_the_estimate_is_made_with_one_network_of_each_direction(fitted):
    assert sorted(np.asarray(fitted.networks_.backward)) == [0, 1]
    assert all(member % 2 == way for member, way in zip(fitted.members_, np.asarray(fitted.networks_.backward)))


def test_the_report_draws_the_search(fitted):
    charts = search_charts(fitted.history_, "autolfads", "m5")
    assert len(charts) == 1 + len(RANGES)
    copied = sum(row["member"] != row["parent"] for row in fitted.history_)
    (path,) = re.findall(r'<path d="([^"]*)" class="curve raw copied"/>', charts[0])
    assert copied > 0 and path.count("M") == copied
    (way,) = re.findall(r'<path d="([^"]*)" class="curve m5"/>', charts[0])
    assert way.count("M") == fitted.history_[fitted.best_epoch_]["generation"]


@pytest.mark.parametrize("bounds", [{"dropout": (0.0, 0.5)}, {"dropout": (0.5, 0.1)}, {"dropped": (0.1, 0.5)}])
def test_bounds_that_make_no_sense_are_refused(bounds):
    with pytest.raises(OptionError, match=r"bounds: drop\w+: .* are no bounds of a hyperparameter"):
        AutoLFADS(bounds=bounds)


def test_bounds_beyond_what_the_option_may_be_are_refused():
    with pytest.raises(OptionError, match=r"dropout: input should be less than 1 \(found 2\.0\)"):
        AutoLFADS(bounds={"dropout": (0.1, 2.0)})
