"""Several sessions in one network: who belongs to which, one training for all, and what each takes from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from myodrive.from_emg.lfads.alignment import MEAN_PARAMETER
from myodrive.from_emg.lfads.data import HeldOut
from myodrive.from_emg.lfads.model import Network, of_session
from myodrive.from_emg.lfads.problem import Problem
from myodrive.recording import Recording, Study
from myodrive.trials import Trials


def session_name(recording: Recording) -> str:
    """Who and when: recordings of the same have the same electrodes."""
    return " ".join(part for part in (recording.subject, recording.session) if part)


def by_session(study: Study) -> dict[str, Study]:
    """The recordings of each session, in order of first appearance."""
    groups: dict[str, list[Recording]] = {}
    for recording in study:
        groups.setdefault(session_name(recording), []).append(recording)
    return {name: Study(members, study.name) for name, members in groups.items()}


def fit_sessions(model: Any, groups: dict[str, Study], mvc: Trials | Sequence[Trials] | None) -> None:
    """One network for all; then for each session an estimator of its own, with what its electrodes need.

    Parameters
    ----------
    model : LFADS or a population of them
    groups : dict of Study
        The recordings of each session.
    mvc : optional
        Maximum contractions, as in `LFADS.fit`.
    """
    members = [type(model)(**model.get_params()) for _ in groups]
    trials: list[xr.DataArray] = []
    owners: list[int] = []
    for i, (member, study) in enumerate(zip(members, groups.values())):
        own = member._prepared(study, mvc)
        trials, owners = [*trials, *own], [*owners, *[i] * len(own)]
    model.muscles_ = list(dict.fromkeys(m for member in members for m in member.muscles_))
    problem = model._problem([trial.reindex(muscle=model.muscles_) for trial in trials], owners)
    model.networks_ = model._train(problem)
    for i, member in enumerate(members):
        _join(member, model, problem, i)
    model.sessions_ = dict(zip(groups, members))
    model.normalisation_, model.reads_raw_ = members[0].normalisation_, members[0].reads_raw_


def _join(member: Any, whole: Any, problem: Problem, i: int) -> None:
    """Give session `i`, which has already seen its own channels, what the network for all sessions has for it."""
    places = [whole.muscles_.index(m) for m in member.muscles_]
    for name, value in vars(whole).items():
        if name.endswith("_") and not hasattr(member, name):
            setattr(member, name, value)
    member.networks_ = narrowed(whole.networks_, i, places)
    columns = np.array([*places, *(len(whole.muscles_) + p for p in places)])
    member.centre_, member.scale_ = whole.centre_[i, columns], whole.scale_[i, columns]
    member.sizes_ = {**whole.sizes_, "n_muscle": len(places), "n_session": 1}
    own = problem.session == i
    rows = own if own.any() else np.ones_like(own)  # none of a short session may be held out
    known = np.arange(2 * len(whole.muscles_), problem.held_out.x.shape[-1])
    emg, x, present = (a[rows] for a in problem.held_out)
    member._calibrate(HeldOut(emg[..., places], x[..., [*columns, *known]], present[..., places]))


def narrowed(networks: Network, session: int, muscles: list[int]) -> Network:
    """The networks (with a leading axis of members) that one session has, with its own muscles alone."""
    own = jax.vmap(of_session, (0, None))(networks, session)
    n_muscle = own.read_out[MEAN_PARAMETER[own.density][0]].bias.shape[-1]
    places = np.array(muscles)
    tokens = np.concatenate([places, n_muscle + places, 2 * n_muscle + places])
    read_out = jax.tree.map(lambda a: a[..., places], own.read_out)
    read_in = eqx.tree_at(lambda r: r.weight, own.read_in, replace_fn=lambda weight: weight[:, tokens])
    return eqx.tree_at(lambda n: (n.read_in, n.read_out), own, (read_in, read_out))
