"""A comparison as one HTML page that answers at a glance: same or not, which image, what cause, which target, what to do.

The page is one file without a script and without a request to anywhere, which its Content-Security-Policy enforces. What comes from an
image is escaped; what is invisible (control characters, marks of the direction of writing) is shown by name. The same comparison gives
the same bytes.
"""

import base64
import hashlib
import html
import math
import pathlib
from collections.abc import Iterable, Sequence

from image_hash import causes, errors, files
from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.report import groups, treemap
from image_hash.report.groups import Group
from image_hash.report.style import STYLE
from image_hash.text import printable

# Rows of one table; a page of 100,000 rows helps nobody, and the JSON has them all.
_ROWS = 200
# A cause with so few places shows them without a click.
_OPEN = 6
_MAP_WIDTH = 1000.0
_MAP_HEIGHT = 170.0

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{content}</main>
<footer><p>The image hash is the sha256 of the manifest, or of the index where there is one: what Confidential Space attests as
<code>image_digest</code>. Sizes are those of the stored layers.</p></footer>
</body>
</html>
"""

_SAME_SIGN = (
    '<svg viewBox="0 0 40 40" aria-hidden="true"><circle cx="20" cy="20" r="18" fill="none" stroke="currentColor" stroke-width="3"/>'
    '<path d="M12 20.5l5.5 5.5L28.5 15" fill="none" stroke="currentColor" stroke-width="3.5" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)
_DIFFERENT_SIGN = (
    '<svg viewBox="0 0 40 40" aria-hidden="true"><circle cx="20" cy="20" r="18" fill="none" stroke="currentColor" stroke-width="3"/>'
    '<path d="M12 16h16M12 24h16M24.5 10.5l-9 19" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round"/></svg>'
)


def write(path: str, comparisons: Sequence[Comparison]) -> None:
    """Writes the page to a file, or leaves what was there.

    Raises:
        errors.CheckError: it cannot be written.
    """
    page = render(comparisons)
    try:
        files.write(pathlib.Path(path), page.encode())
    except OSError as error:
        raise errors.CheckError(f"the report was not written to {printable(path)}: {error.strerror}") from error


def render(comparisons: Sequence[Comparison]) -> str:
    """The page of at least one comparison."""
    different = sum(not comparison.same for comparison in comparisons)
    title = _headline(comparisons, different)
    sections = "".join(_section(number, comparison) for number, comparison in enumerate(comparisons, 1))
    return _PAGE.format(
        digest=base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode(),
        title=title,
        style=STYLE,
        content=_verdict(comparisons, title, different) + (_overview(comparisons) if len(comparisons) > 1 else "") + sections,
    )


def _text(text: str) -> str:
    return html.escape(printable(text))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"


def _times(number: int) -> str:
    return f" ({number:,})" if number > 1 else ""


def _size(size: int) -> str:
    """Bytes for a person: 254.6 MB, as build_images.sh prints them."""
    if size < 1000:
        return f"{size} B"
    power = min(int(math.log10(size)) // 3, 4)
    return f"{size / 1000**power:.1f} {'BKMGT'[power].replace('K', 'k')}B"


def _headline(comparisons: Sequence[Comparison], different: int) -> str:
    if len(comparisons) > 1:
        verb = "differs" if different == 1 else "differ"
        return f"{different} of {len(comparisons)} images {verb}" if different else f"All {len(comparisons)} images are the same"
    return "The images differ" if different else "The images are the same"


def _by_cause(differences: Iterable[Difference]) -> list[Group]:
    """The groups; what has no cause comes last."""
    return sorted(groups.by_cause(differences), key=lambda group: group.cause == causes.UNKNOWN)


def _targets(found: Iterable[Group]) -> list[str]:
    return list(dict.fromkeys(target for group in found for target in group.targets))


def _verdict(comparisons: Sequence[Comparison], title: str, different: int) -> str:
    names = [comparison for comparison in comparisons if not comparison.same] or comparisons
    lines = []
    if len(names) == 1:
        lines.append(f"<p>{_code(names[0].left)} {'≠' if different else '='} {_code(names[0].right)}</p>")
    if different:
        found = _by_cause(difference for comparison in comparisons for difference in comparison.differences)
        listed = ", ".join(f"{_text(group.cause.name)}{_times(len(group.differences))}" for group in found[:4])
        more = f" and {_count(len(found) - 4, 'other cause')}" if len(found) > 4 else ""
        lines.append(f"<p>{'Cause' if len(found) == 1 else 'Causes'}: {listed}{more}.</p>")
        lines.append(_made_by(_targets(found)))
        lines.append(f"<p>What to do first: {_text(found[0].cause.advice)}</p>")
    elif all(comparison.left_hash and comparison.right_hash for comparison in comparisons):
        lines.append("<p>Equal image hash, so equal manifest, config and layers: the same image, byte for byte.</p>")
    else:
        lines.append("<p>Config and layers are equal, byte for byte. One format keeps no manifest: the image hash is not compared.</p>")
    kind, sign = ("different", _DIFFERENT_SIGN) if different else ("same", _SAME_SIGN)
    return f'<div class="verdict {kind}">{sign}<div><h1>{title}</h1>{"".join(lines)}</div></div>\n'


def _overview(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for number, comparison in enumerate(comparisons, 1):
        found = _by_cause(comparison.differences)
        name = f'<a href="#image-{number}">{_text(comparison.left)}</a>'
        listed = ", ".join(_text(group.cause.name) for group in found)
        rows.append((name, _mark(comparison.same), listed, ", ".join(map(_code, _targets(found)[:3]))))
    return f'<h2>Images</h2>\n<div class="card">{_table(("Image", "Result", "Causes", "Bazel targets"), rows)}</div>\n'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table of cells that are HTML; cells beyond the columns are left out."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row[: len(columns)])}</tr>\n" for row in rows)
    title = f"<caption>{caption}</caption>\n" if caption else ""
    return f'<div class="scroll"><table>\n{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _mark(same: bool) -> str:
    return '<span class="same">same</span>' if same else '<span class="different">different</span>'


def _section(number: int, comparison: Comparison) -> str:
    sides = [("First", comparison.left, comparison.left_hash), ("Second", comparison.right, comparison.right_hash)]
    unknown = '<span class="soft">no image hash: this format does not keep the manifest</span>'
    rows = "".join(f"<dt>{which}</dt><dd>{_code(name)}<br>{_code(digest) if digest else unknown}</dd>" for which, name, digest in sides)
    parts = [
        f'<section id="image-{number}">\n<h2>{_text(comparison.left)} <span class="count">{_mark(comparison.same)}</span></h2>\n',
        f'<div class="card"><dl>{rows}</dl></div>\n',
    ]
    if comparison.differences:
        parts.append("<h3>Why</h3>\n")
        parts += map(_cause, _by_cause(comparison.differences))
    parts += [_layers(comparison), "</section>\n"]
    return "".join(parts)


def _cause(group: Group) -> str:
    cause, differences = group.cause, group.differences
    columns = ["Where", "First", "Second"] + (["Bazel target"] if len(group.targets) > 1 else [])
    rows = [
        (" / ".join(map(_code, difference.place)), _side(difference.left), _side(difference.right), _code(difference.target))
        for difference in differences[:_ROWS]
    ]
    more = f"<p>And {len(differences) - _ROWS:,} more; the JSON output has all of them.</p>" if len(differences) > _ROWS else ""
    return (
        f'<article class="card">\n<h4>{_text(cause.name)} <span class="count">{_count(len(differences), "place")}</span></h4>\n'
        f'<p>{_text(cause.meaning)}</p>\n{_made_by(group.targets)}<p class="todo">{_text(cause.advice)}</p>\n'
        f"<details{' open' if len(differences) <= _OPEN else ''}><summary>Where</summary>\n{_table(columns, rows)}{more}</details>\n"
        "</article>\n"
    )


def _side(text: str) -> str:
    return _code(text) if text else '<span class="soft">nothing</span>'


def _made_by(targets: Sequence[str]) -> str:
    more = f" and {len(targets) - 3} more" if len(targets) > 3 else ""
    return f"<p>Made by {', '.join(map(_code, targets[:3]))}{more}.</p>\n" if targets else ""


def _layers(comparison: Comparison) -> str:
    sides = [(comparison.left, comparison.left_layers), (comparison.right, comparison.right_layers)]
    # A list of expected hashes knows no sizes.
    sides = [(name, layers) for name, layers in sides if any(layer.size for layer in layers)][: 1 if comparison.same else 2]
    if not sides:
        return ""
    largest = max(sum(layer.size for layer in layers) for _, layers in sides)
    maps = "".join(_map(name, layers, largest) for name, layers in sides)
    tables = "".join(_layer_table(name, layers) for name, layers in sides)
    if comparison.same:
        return f'<details><summary>Layers by size</summary>\n<div class="card">\n{maps}{tables}</div></details>\n'
    return (
        f'<h3>Layers by size</h3>\n<div class="card">\n{maps}<p class="soft"><span class="key"></span> in both images &nbsp; '
        f'<span class="key other"></span> in one of them only</p>\n<details><summary>All layers</summary>\n{tables}</details>\n</div>\n'
    )


def _layer_name(layer: LayerSize) -> str:
    """What made the layer, short: the name of a Bazel target, or the command; empty if that is not known."""
    name = layer.created_by.removeprefix("bazel build ").strip()
    return name.rpartition(":")[2] if name.startswith(("//", "@")) else name


def _map(name: str, layers: Sequence[LayerSize], largest: int) -> str:
    total = sum(layer.size for layer in layers)
    # Equal areas are equal sizes, in both images.
    height = max(_MAP_HEIGHT * total / largest, 1.0)
    other = sum(layer.size for layer in layers if not layer.equal)
    only = f", of which {_size(other)} in this image only" if other else ""
    caption = f"{_text(name)}: {_count(len(layers), 'layer')}, {_size(total)}{only}"
    shapes = []
    for area in treemap.squarify([layer.size for layer in layers], _MAP_WIDTH, height):
        layer = layers[area.index]
        kind = "equal" if layer.equal else "other"
        label = f"{layer.position} {_layer_name(layer)}".rstrip()
        shapes.append(
            f"<g><title>{_text(f'layer {label}')}, {_size(layer.size)}</title>"
            f'<rect class="{kind}" x="{area.x:.1f}" y="{area.y:.1f}" width="{area.width:.1f}" height="{area.height:.1f}"/>'
        )
        # 7.2 units are a wide letter of this font.
        room = int((area.width - 12) / 7.2)
        if room >= 6 and area.height >= 24:
            short = label if len(label) <= room else label[: room - 1] + "…"
            shapes.append(f'<text class="{kind}" x="{area.x + 7:.1f}" y="{area.y + 17:.1f}">{_text(short)}</text>')
            if area.height >= 42:
                shapes.append(f'<text class="{kind}" x="{area.x + 7:.1f}" y="{area.y + 33:.1f}">{_size(layer.size)}</text>')
        shapes.append("</g>\n")
    return (
        f"<figure><figcaption>{caption}</figcaption>\n"
        f'<svg viewBox="0 0 {_MAP_WIDTH:.0f} {height:.1f}" role="img" aria-label="{caption}">\n{"".join(shapes)}</svg></figure>\n'
    )


def _layer_table(name: str, layers: Sequence[LayerSize]) -> str:
    rows = [
        (
            str(layer.position),
            _size(layer.size),
            "both images" if layer.equal else "this image only",
            f'{_code(layer.created_by)}<br><span class="soft">{_code(layer.diff_id)}</span>',
        )
        for layer in layers
    ]
    return _table(("Layer", "Size", "In", "Made by, and diff id"), rows, _text(name)) + "\n"
