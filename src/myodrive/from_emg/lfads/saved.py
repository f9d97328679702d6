"""Networks as the arrays of a file, and back: of this version and of all before it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import Network, Sizes, directed
from myodrive.learning.checkpoint import arrays_to_tree, tree_to_arrays

RENAMED = re.compile(r"\.to_(log_shape|log_rate)")  # read-outs as they were called before there were several densities


def to_arrays(networks: Network) -> dict[str, np.ndarray]:
    """Networks (member, …) by the names that `to_networks` looks for; all begin with "network"."""
    return {f"networks{name}": a for name, a in tree_to_arrays(networks).items()}


def to_networks(arrays: Mapping[str, np.ndarray], sizes: Sizes) -> Network:
    """The networks among the arrays of a file, with a leading axis of members."""
    # Before there were populations there was one network, saved under "network" and without an axis of members.
    single = {name.removeprefix("network"): a[None] for name, a in arrays.items() if name.startswith("network.")}
    several = {name.removeprefix("networks"): a for name, a in arrays.items() if name.startswith("networks.")}
    weights = {RENAMED.sub(r".read_out['\1']", name): a for name, a in (single or several).items()}
    n_member = len(next(iter(weights.values())))
    each = (sizes.n_session,) if sizes.n_session > 1 else ()
    null = jnp.zeros((*each, len(DENSITIES[sizes.density].bounds), sizes.n_muscle))

    def created(key: jax.Array) -> Network:
        net = Network.create(sizes, null, key)
        return directed(net, backward=False) if ".backward" in weights else net

    like = jax.eval_shape(jax.vmap(created), jnp.zeros((n_member, 2), jnp.uint32))
    return arrays_to_tree(weights, like)
