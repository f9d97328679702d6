"""A page of sections: what came out in words, then charts and tables, then what was done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from myodrive.evaluation.truth_result import without_nan
from myodrive.reporting.page import Table, fill_template
from myodrive.reporting.words import linked


@dataclasses.dataclass(frozen=True)
class Part:
    """One section of the page."""

    title: str
    hint: str = ""
    key: Mapping[str, str] = dataclasses.field(default_factory=dict)
    charts: Sequence[Markup] = ()
    tables: Sequence[Table] = ()
    prose: Sequence[str] = ()


def render_parts(
    eyebrow: str,
    heading: str,
    lead: str,
    verdict: Sequence[str],
    parts: Sequence[Part],
    *,
    methods: Sequence[str],
    options: Mapping[str, Any],
    references: Sequence[str],
) -> str:
    """The page as text.

    Parameters
    ----------
    eyebrow : str
        What kind of page it is, above its heading.
    methods : sequence of str
        Sentences of what was done, above the options.
    """
    return fill_template(
        "parts.html.j2",
        eyebrow=eyebrow,
        title=heading,
        lead=lead,
        verdict=verdict,
        parts=parts,
        methods=methods,
        options=json.dumps(without_nan(dict(options)), indent=1),
        references=[linked(r) for r in references],
    )
