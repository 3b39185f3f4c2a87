# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page: no script, nothing loaded from elsewhere, readable in light and dark."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from safe_transfer_ros.record.run_config import parameters
from safe_transfer_ros.reporting import conditions
from safe_transfer_ros.reporting.figures import iterations_over_bound, key_numbers
from safe_transfer_ros.reporting.plots import Plot, ordered_reasons, reason_name
from safe_transfer_ros.reporting.run import Run
from safe_transfer_ros.safety.reasons import REASON_TEXT


def render(
    run: Run,
    compare: Run | None,
    plots: Sequence[Plot],
    provenance: Mapping[str, Any],
    pictures: Mapping[str, bytes],
) -> str:
    """The page.

    Args:
      run: The run.
      compare: A run to hold it against, or None.
      plots: The plots that were drawn.
      provenance: Versions that made this page, used where the run does not bring its own.
      pictures: PNG of each plot by its name; they go into the page, which can so be sent alone.

    Returns:
      HTML.
    """
    runs = [run] if compare is None else [run, compare]
    own = run.provenance or {}
    return _TEMPLATE.render(
        run=run,
        compare=compare,
        runs=runs,
        headline=headline(run),
        cautions=cautions(run),
        arm=conditions.arm(run),
        critics=conditions.critics(run),
        contrast=None if compare is None else headline(compare),
        notes=[*run.notes, *([] if compare is None else [f"{compare.name}: {n}" for n in compare.notes])],
        plots=plots,
        pictures={name: base64.b64encode(data).decode() for name, data in pictures.items()},
        numbers=key_numbers(runs),
        reasons=_reasons(runs),
        differences=_differences(run),
        sections=_sections(run),
        command=own.get("command") or _command(run),
        recorded_command=bool(own.get("command")),
        started=own.get("started"),
        versions=own.get("versions") or provenance.get("versions", {}),
        versions_from="the run" if own.get("versions") else "the program that wrote this page",
    )


def headline(run: Run) -> str:
    """Verdict on the bound, in one sentence."""
    count = len(run.records)
    if not count:
        return "No iteration was finished, so there is nothing to judge."
    if not math.isfinite(run.d_safe):
        return f"{count} iterations; the damage bound is not known, so it is not judged."
    over = iterations_over_bound(run)
    iterations = {1: "the one iteration", 2: "both iterations"}.get(count, f"all {count} iterations")
    if not over:
        return f"Expected damage stayed within D_safe = {run.d_safe:g} N·m in {iterations}."
    return f"Expected damage was over D_safe = {run.d_safe:g} N·m in {over} of {count} iterations."


def cautions(run: Run) -> list[str]:
    """Facts that the verdict does not judge, one sentence each."""
    still = [detail.iteration for detail in run.details if detail.stood_still]
    if not still:
        return []
    return [
        f"In {len(still)} of {len(run.records)} iterations, first in iteration {still[0]}, a joint that was asked for "
        "torque stood still. Should it break loose, D_safe may be broken: nothing here predicts that "
        "(unsafety_monitor.standstill: unsafe would count such episodes as unsafe)."
    ]


def _reasons(runs: Sequence[Run]) -> list[tuple[str, str, list[str]]]:
    """Name, meaning and count in each run, per reason."""
    seen = [reason for run in runs for reason in ordered_reasons(run)]
    return [
        (
            reason_name(reason),
            REASON_TEXT.get(reason, ""),
            [_count(run, run.reasons.get(reason, 0)) for run in runs],
        )
        for reason in dict.fromkeys(seen)
    ]


def _count(run: Run, count: int) -> str:
    return f"{count:,} ({count / run.decisions:.1%})" if run.decisions else "–"


def _differences(run: Run) -> tuple[str, float] | None:
    """The column in which iterations.csv and the bag differ most, and by how much."""
    if not run.differences:
        return None
    return max(run.differences.items(), key=lambda item: item[1])


def _sections(run: Run) -> list[tuple[str, dict[str, Any]]]:
    """Parameters by node, as run."""
    return [
        ("all nodes" if node == "/**" else node.removeprefix("/**/"), dict(values["ros__parameters"]))
        for node, values in run.config.items()
        if isinstance(values, Mapping) and isinstance(values.get("ros__parameters"), Mapping)
        if not (node.endswith("mujoco_sim") and conditions.on_hardware(run))  # it took no part
    ]


def _command(run: Run) -> str:
    task = parameters(run.config, "trainer").get("task")
    return f"safe_transfer up {task} config:={run.path.name}/config.yaml run_dir:=NEW_DIRECTORY" if task else ""


_STYLE = """
:root { color-scheme: light dark; --ink:#22262a; --soft:#5c646c; --line:#d9dcdf; --page:#f7f7f5;
  --card:#fdfdfc; --good:#00674c; --bad:#a83f00; --goodback:#e4f1ec; --badback:#fbe9df; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e6e8; --soft:#a2a9b0; --line:#3a4046; --page:#17191c;
  --card:#1f2226; --good:#6fd1b0; --bad:#ff9d66; --goodback:#17302a; --badback:#3a2317; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--page); color:var(--ink); font:16px/1.55 system-ui,-apple-system,"Segoe UI",
  "Noto Sans","DejaVu Sans",sans-serif; }
main { max-width:62rem; margin:0 auto; padding:2.5rem 1.25rem 4rem; }
h1 { font-size:1.75rem; line-height:1.2; margin:0 0 .25rem; overflow-wrap:anywhere; }
h2 { font-size:1.2rem; margin:2.75rem 0 .75rem; }
p { margin:.5rem 0; max-width:46rem; }
.soft { color:var(--soft); }
.verdict { margin:1.25rem 0 .5rem; padding:.8rem 1rem; border-left:4px solid; border-radius:4px;
  max-width:none; }
.good { color:var(--good); border-color:var(--good); background:var(--goodback); }
.bad { color:var(--bad); border-color:var(--bad); background:var(--badback); }
.plain { color:var(--ink); border-color:var(--soft); background:var(--card); }
ul.notes { padding-left:1.2rem; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
th, td { text-align:left; vertical-align:top; padding:.45rem .9rem .45rem 0;
  border-bottom:1px solid var(--line); }
thead th { font-size:.85rem; color:var(--soft); font-weight:600; }
tbody th { font-weight:600; }
th small { display:block; font-weight:400; color:var(--soft); font-size:.85rem; }
td { white-space:nowrap; }
td.wrap { white-space:normal; }
td.over { color:var(--bad); font-weight:600; }
var { font-style:italic; }
sub { font-size:.72em; line-height:0; }
.plots { display:grid; gap:1.5rem; }
figure { margin:0; background:#fdfdfc; border:1px solid var(--line); border-radius:8px; overflow:hidden; }
figure img { display:block; width:100%; height:auto; }
figcaption { background:var(--card); color:var(--soft); padding:.7rem 1rem; border-top:1px solid var(--line);
  font-size:.93rem; }
code, pre { font:.9rem/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,monospace; }
pre { background:var(--card); border:1px solid var(--line); border-radius:6px; padding:.7rem 1rem;
  overflow-x:auto; }
details { border-top:1px solid var(--line); padding:.4rem 0; }
summary { cursor:pointer; font-weight:600; }
details td { padding-top:.2rem; padding-bottom:.2rem; }
@media (max-width: 44rem) { td { white-space:normal; } }
@media print { body { background:#fff; } figure, tr { break-inside:avoid; } }
"""

_HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ run.name }} – safe transfer report</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<h1>{{ run.name }}</h1>
<p class="soft">{{ run.parameter("trainer", "task", "unknown task") }}
{%- if run.rule %}, {{ run.label }}{% endif %}
{%- set seed = run.parameter("trainer", "seed") %}{% if seed is not none %}, seed {{ seed }}{% endif %}
{%- if arm %}, {{ arm }}{% endif %}
{%- if started %}, started {{ started }}{% endif %}</p>
{% if critics %}<p class="soft">{{ critics | join(" ") }}</p>
{% endif %}
<p class="verdict {{ 'bad' if 'was over' in headline else 'plain' if not run.records or cautions else 'good' }}">
{{- headline | symbols }}</p>
{% for caution in cautions %}<p class="verdict bad">{{ caution | symbols }}</p>
{% endfor %}
{% if compare %}<p class="soft">Held against <strong>{{ compare.name }}</strong> ({{ compare.label }}):
{{ contrast | symbols }}</p>{% endif %}
<p class="soft">Expected damage is an estimate from a few episodes per iteration. The filter is a software
protective stop, not a safety-rated one.</p>
{% if notes %}
<h2>To know when reading this</h2>
<ul class="notes">{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% endif %}

{% if run.records %}
<h2>Key numbers</h2>
<div class="scroll"><table>
{% if compare %}<thead><tr><th></th>
{%- for one in runs %}<th>{{ one.label }}</th>{% endfor %}</tr></thead>{% endif %}
<tbody>
{% for number in numbers %}<tr><th scope="row">{{ number.name | symbols }}
<small>{{ number.meaning | symbols }}</small></th>
{%- for value in number.values %}
<td{% if number.alarm[loop.index0] %} class="over"{% endif %}>{{ value }}</td>
{%- endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endif %}

{% if plots %}
<h2>Plots</h2>
<div class="plots">
{% for plot in plots %}<figure id="{{ plot.name }}">
<img src="data:image/png;base64,{{ pictures[plot.name] }}" alt="{{ plot.title }}" width="1210" height="605">
<figcaption>{{ plot.caption | symbols }}</figcaption></figure>
{% endfor %}</div>
{% endif %}

{% if reasons %}
<h2>Reasons in words</h2>
<p class="soft">Decisions of the safety filter with this reason, and their share of all decisions. One
decision may have several.</p>
<div class="scroll"><table>
<thead><tr><th>Reason</th>{% for one in runs %}<th>{{ one.label }}</th>{% endfor %}</tr></thead>
<tbody>{% for name, meaning, counts in reasons %}
<tr><th scope="row">{{ name }}<small>{{ meaning }}</small></th>
{%- for count in counts %}<td>{{ count }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endif %}

<h2>How it was made</h2>
{% if differences %}<p>Every column of <code>iterations.csv</code> was recomputed from the bag alone
{%- if differences[1] == 0 %} and agrees exactly.{% else %}; the largest difference is
{{ "%.2g" | format(differences[1]) }}, in <code>{{ differences[0] }}</code>.{% endif %} (Wall time is not
compared.)</p>{% endif %}
{% if command %}<p>{{ "Command:" if recorded_command else "To run it again with the same settings:" }}</p>
<pre>{{ command }}</pre>{% endif %}
{% if versions %}<p class="soft">Versions of {{ versions_from }}:
{% for name, number in versions.items() %}{{ name }} {{ number }}{{ ", " if not loop.last }}{% endfor %}.</p>
{% endif %}
{% for node, values in sections %}<details><summary>{{ node }}</summary><div class="scroll"><table><tbody>
{% for name, value in values.items() %}<tr><td><code>{{ name }}</code></td>
<td class="wrap">{{ value }}</td></tr>
{% endfor %}</tbody></table></div></details>
{% endfor %}
</main>
</body>
</html>
"""


def _symbols(text: str) -> Markup:
    """p_u, D_safe and the like as a symbol with its subscript; for texts of this package only."""
    plain = str(escape(text)).replace("&#39;", "'")
    html = re.sub(r"\b(d?)([pDT])('?)_(\w+)", r"\1<var>\2</var>\3<sub>\4</sub>", plain)
    return Markup(html.replace("d<var>", "Δ<var>"))


_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.globals["style"] = Markup(_STYLE)
_ENVIRONMENT.filters["symbols"] = _symbols
_TEMPLATE = _ENVIRONMENT.from_string(_HTML)
