"""Checkpoints: one safetensors file with a pytree of arrays and some plain values, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from myodrive.errors import FileError, OptionError
from myodrive.safe_write import safe_write

Tree = TypeVar("Tree")


def tree_to_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Every leaf under a name that says where in the tree it is."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf, order="C") for path, leaf in leaves}


def arrays_to_tree(arrays: dict[str, np.ndarray], like: Tree) -> Tree:
    """The inverse of `tree_to_arrays`, into the structure of `like`, whose leaves need only have shapes and types.

    Raises
    ------
    FileError
        If a leaf is missing or has another shape.
    """

    def leaf(path: Any, wanted: Any) -> jax.Array:
        name = jax.tree_util.keystr(path)
        if name not in arrays or arrays[name].shape != wanted.shape:
            found = arrays[name].shape if name in arrays else "missing"
            raise FileError(f"the saved network does not fit: {name} should be {wanted.shape} and is {found}.")
        return jax.numpy.asarray(arrays[name], dtype=wanted.dtype)

    return jax.tree_util.tree_map_with_path(leaf, like)


def save_checkpoint(path: str | Path, tree: Any, values: dict[str, Any], fingerprint: str) -> Path:
    """Write the arrays of a tree, and values as JSON allows; a kill at any moment leaves the old file or the new one."""
    from safetensors.numpy import save_file

    arrays, told = tree_to_arrays(tree), json.dumps({**values, "fingerprint": fingerprint})
    return safe_write(path, lambda temporary: save_file(arrays, temporary, metadata={"values": told}))


def load_checkpoint(path: str | Path, like: Tree, fingerprint: str) -> tuple[Tree, dict[str, Any]] | None:
    """The tree to the same bits, and the values; None if there is no such file.

    Raises
    ------
    FileError
        If what is there cannot be read, or belongs to another network.
    OptionError
        If it was saved with another fingerprint (of data and configuration).
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            values = json.loads(file.metadata()["values"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FileError(f"is not a checkpoint ({error}).", where=path, remedy="Remove it to start anew.") from error
    tree = arrays_to_tree(arrays, like)
    if values.pop("fingerprint") != fingerprint:
        raise OptionError(
            "is the checkpoint of other data or another configuration.",
            where=path,
            remedy="Remove it, or name another file.",
        )
    return tree, values
