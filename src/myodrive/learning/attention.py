"""Additive attention (Bahdanau et al. 2015, 10.48550/arXiv.1409.0473): which inputs a step of a decoder looks at."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from myodrive.learning.recurrent import normal_weights


class AdditiveAttention(eqx.Module):
    """``e_j = v · tanh(s W + h_j U + b_j)``, ``α = softmax(e)``, ``c = Σ α_j h_j``.

    s is the decoder's state, h_j are the encoder's at the places that may be looked at, and b_j is learned for each
    place, so that "what came 80 ms before" needs no other sign.
    """

    w_query: Float[Array, "*member state unit"]
    w_key: Float[Array, "*member annotation unit"]
    bias: Float[Array, "*member place unit"]
    v: Float[Array, "*member unit"]

    @classmethod
    def create(cls, n_state: int, n_annotation: int, n_place: int, n_unit: int, key: PRNGKeyArray) -> AdditiveAttention:
        """Normal weights with variance 1 / fan-in; no place is preferred."""
        keys = jax.random.split(key, 3)
        return cls(
            normal_weights(keys[0], n_state, n_unit),
            normal_weights(keys[1], n_annotation, n_unit),
            jnp.zeros((n_place, n_unit)),
            normal_weights(keys[2], n_unit, 1)[:, 0],
        )

    def keys(self, annotations: Float[Array, "*batch annotation"]) -> Float[Array, "*batch unit"]:
        """``h_j U``, which is the same for all steps of the decoder."""
        return annotations @ self.w_key

    def weights(
        self,
        state: Float[Array, "batch state"],
        keys: Float[Array, "place batch unit"],
        present: Bool[Array, "place batch"],
    ) -> Float[Array, "place batch"]:
        """α for one step of the decoder; 0 where nothing is present, at least one place of each row must be."""
        energy = jnp.tanh(state @ self.w_query + keys + self.bias[:, None]) @ self.v
        return jax.nn.softmax(jnp.where(present, energy, -jnp.inf), axis=0)


def look(
    weights: Float[Array, "place batch"], annotations: Float[Array, "place batch annotation"]
) -> Float[Array, "batch annotation"]:
    """The context: the annotations averaged with the weights."""
    return jnp.einsum("pb,pba->ba", weights, annotations)


def local(values: Shaped[Array, "time *rest"], reach: int) -> Shaped[Array, "time place *rest"]:
    """For each step what lies within ±`reach` steps of it; zeros (False) beyond the ends."""
    padded = jnp.pad(values, ((reach, reach), *((0, 0),) * (values.ndim - 1)))
    place = jnp.arange(values.shape[0])[:, None] + jnp.arange(2 * reach + 1)
    return padded[place]
