"""The results of federated rounds as one HTML page: curves, counts and times.

The page is one file without a script and without a request to anywhere, which its Content-Security-Policy enforces. The same results give
the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Mapping, Sequence

from shuffler.e2e.round.results import Results, TaskRounds

_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.45; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.lead { margin: 0 0 1rem; opacity: .75; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
figure { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: .5rem; margin: 0; padding: .8rem; }
figcaption { display: flex; font-size: .9rem; gap: .8rem; justify-content: space-between; min-height: 2.9em; }
figcaption span { min-width: 0; overflow-wrap: break-word; }
figcaption b { font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { display: block; height: auto; width: 100%; }
.axis { stroke: currentColor; stroke-opacity: .25; }
.line { fill: none; stroke: #2f6fde; stroke-linejoin: round; stroke-width: 2; }
.dot { fill: #2f6fde; }
.tick { fill: currentColor; font-size: 11px; opacity: .7; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); padding: .25rem .8rem .25rem 0; text-align: left; }
td.number, th.number { font-variant-numeric: tabular-nums; text-align: right; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="lead">{lead}</p>
{content}</body>
</html>
"""

_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 12, 26
_TICKS = 4


def render(results: Results) -> str:
    """The page."""
    training = results.tasks[0]
    title = f"{len(training.rounds)} federated rounds"
    uploads = sum(done.uploads for task in results.tasks for done in task.rounds)
    lead = f"{uploads} uploads of devices, {sum(results.phases.values()):.0f} s in all."
    content = "".join(_task(task) for task in results.tasks)
    content += _section(
        "Devices", _table(("visits that ended so", "number"), [(name, str(count)) for name, count in sorted(results.outcomes.items())])
    )
    content += _section("Time", _table(("part", "seconds"), [(name, f"{seconds:.1f}") for name, seconds in results.phases.items()]))
    content += _section("Settings", _table(("setting", "value"), sorted(results.settings.items()), numbers=False))
    hashes = [(name, digest) for name, digest in sorted(results.hashes.items())]
    content += _section("Images", _table(("service", "image hash"), hashes, numbers=False))
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return _PAGE.format(digest=digest, title=html.escape(title), style=_STYLE, lead=html.escape(lead), content=content)


def _task(task: TaskRounds) -> str:
    names = sorted({name for done in task.rounds for name in done.metrics})
    charts = "".join(_chart(name, [(done.iteration, done.metrics[name]) for done in task.rounds if name in done.metrics]) for name in names)
    charts += _chart("uploads", [(done.iteration, float(done.uploads)) for done in task.rounds])
    charts += _chart("seconds", [(done.iteration, done.seconds) for done in task.rounds])
    return _section(f"Task {task.number}: {task.title}", f'<div class="charts">{charts}</div>')


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>\n"


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]], *, numbers: bool = True) -> str:
    kind = ' class="number"' if numbers else ""
    body = "".join(
        f"<tr><td>{html.escape(name)}</td><td{kind}>{html.escape(value) if numbers else f'<code>{html.escape(value)}</code>'}</td></tr>"
        for name, value in rows
    )
    return (
        f"<table><thead><tr><th>{html.escape(head[0])}</th><th{kind}>{html.escape(head[1])}</th></tr></thead><tbody>{body}</tbody></table>"
    )


def _chart(name: str, points: Sequence[tuple[int, float]]) -> str:
    """A curve over the rounds; what is no number is left out."""
    finite = [(iteration, value) for iteration, value in points if math.isfinite(value)]
    title = html.escape(name)
    # Long names break at their words.
    words = title.replace("/", "/<wbr>").replace("_", "_<wbr>")
    if not finite:
        return f"<figure><figcaption><span>{words}</span><b>no numbers</b></figcaption></figure>"
    low, high = _range([value for _, value in finite])
    first, last = finite[0][0], finite[-1][0]

    def x(iteration: int) -> float:
        return _LEFT + (iteration - first) / max(last - first, 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for step in range(_TICKS + 1):
        value = low + (high - low) * step / _TICKS
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    parts += [
        f'<text class="tick" x="{x(iteration):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{iteration}</text>'
        for iteration in sorted({first, (first + last) // 2, last})
    ]
    line = " ".join(f"{x(iteration):.1f},{y(value):.1f}" for iteration, value in finite)
    parts.append(f'<polyline class="line" points="{line}"/>')
    parts += [f'<circle class="dot" cx="{x(iteration):.1f}" cy="{y(value):.1f}" r="2.5"/>' for iteration, value in finite]
    return (
        f"<figure><figcaption><span>{words}</span><b>{finite[0][1]:.4g} → {finite[-1][1]:.4g}</b></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title} by round">{"".join(parts)}</svg></figure>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def text(results: Results) -> str:
    """The results in lines, for a terminal: the metrics of each round."""
    lines = [
        f"{task.title} {done.iteration}: {done.uploads} uploads, {done.seconds:.1f} s{_metrics(done.metrics)}"
        for task in results.tasks
        for done in task.rounds
    ]
    return "\n".join(lines)


def _metrics(metrics: Mapping[str, float]) -> str:
    return "".join(f", {name} {value:.4g}" for name, value in sorted(metrics.items()))
