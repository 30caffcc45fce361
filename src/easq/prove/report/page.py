"""The frame of a report, one self-contained HTML file, and the blocks in it.

Every argument that is data is escaped here; only `body`, `blocks` and `cells` made here are HTML.
"""

import html
from collections.abc import Iterable, Sequence
from string import Template

import plotly.graph_objects as go  # type: ignore[import-untyped]
import plotly.io  # type: ignore[import-untyped]
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<noscript><p class="warning">The figures need JavaScript. The tables hold the numbers.</p></noscript>
$body
</main>
<script>$plotly</script>
<script>$script</script>
</body>
</html>
""")

_STYLE = """
:root{--paper:#fbfbfa;--card:#fff;--ink:#1d2126;--soft:#5d6670;--line:#e2e4e7;--bad:#b3261e;--good:#12713f}
@media(prefers-color-scheme:dark){
:root{--paper:#101316;--card:#171b1f;--ink:#e8eaed;--soft:#a0a8b1;--line:#2b3138;--bad:#ff8a7a;--good:#55d695}
}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 16px 64px}
h1,h2,h3,p,li,figcaption{overflow-wrap:break-word}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem}
h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .3rem;padding-top:1.2rem;border-top:1px solid var(--line)}
h3{font-size:1rem;line-height:1.35;margin:0 0 .2rem}
p{max-width:72ch;margin:.4rem 0}
.soft,figcaption,caption{color:var(--soft);font-size:.875rem;line-height:1.45}
.lines{list-style:none;margin:.4rem 0 .8rem;padding:0;color:var(--soft)}
.lines .chip{color:var(--ink);font-weight:600;margin-right:.3em}
.warning{border-left:4px solid #D55E00;padding-left:12px}
.lead{font-size:1.06rem}
.grid{display:grid;gap:16px;margin:16px 0;
grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
.grid.thirds{grid-template-columns:repeat(auto-fit,minmax(min(100%,310px),1fr))}
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:12px 0}
.tile{flex:1 1 130px}
.tile.runs{flex:1 1 220px}
.tile.runs b{font-size:1.3rem}
figure,.tile,.absent,details{margin:0;min-width:0;background:var(--card);border:1px solid var(--line);
border-radius:10px;padding:14px 14px 10px}
.absent{color:var(--soft)}
.absent p{margin:.2rem 0}
.tile b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.85rem;line-height:1.3;display:block}
.tile .run{display:flex;align-items:baseline;gap:8px}
.tile .run i{min-width:0;overflow-wrap:anywhere;color:var(--soft);font-style:normal;
font-size:.85rem;line-height:1.2}
.chip::before{content:"";display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em;
background:var(--run)}
.plot{width:100%;min-height:120px}
details{margin:16px 0;padding:10px 14px}
summary{cursor:pointer;font-weight:600}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:4px 0 8px;position:sticky;left:0;max-width:calc(100vw - 48px);
overflow-wrap:anywhere}
td.better{color:var(--good)}
td.worse{color:var(--bad)}
th,td{padding:5px 10px;text-align:right;white-space:nowrap;vertical-align:top;
border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal;min-width:8.5rem}
td small{color:var(--soft);display:block;font-size:.78rem}
tr.group th{padding-top:16px;font-weight:600;text-align:left}
@media print{figure,table,.tile{break-inside:avoid}}
"""

_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const theme = () => ({"font.color": color("--ink"), "hoverlabel.bgcolor": color("--card"),
  "hoverlabel.bordercolor": color("--line"), "hoverlabel.font.color": color("--ink")});
const places = document.querySelectorAll(".plot");
for (const place of places) {
  const {data, layout} = JSON.parse(place.nextElementSibling.textContent);
  Plotly.newPlot(place, data, layout, {displayModeBar: false, responsive: true})
    .then(() => Plotly.relayout(place, theme()));
}
dark.addEventListener("change", () => places.forEach(place => Plotly.relayout(place, theme())));
"""


def document(title: str, body: str) -> str:
    """Return a whole page; plotly, which is embedded, draws the figures in its body."""
    parts = {"plotly": get_plotlyjs(), "script": _SCRIPT, "style": _STYLE}
    return _PAGE.substitute(title=plain(title), body=body, **parts)


def plain(words: str) -> str:
    """Return data escaped for HTML; a number stays on one line with its percent sign."""
    return html.escape(words).replace(" %", "&nbsp;%")


def header(title: str, *blocks: str) -> str:
    """Return the top of the page."""
    return "\n".join([f"<header>\n<h1>{plain(title)}</h1>", *blocks, "</header>"])


def lines(blocks: Iterable[str]) -> str:
    """Return a short list, one block a line."""
    return '<ul class="lines">' + "".join(f"<li>{block}</li>" for block in blocks) + "</ul>"


def text(words: str, kind: str = "") -> str:
    """Return a paragraph."""
    return f'<p class="{kind}">{plain(words)}</p>' if kind else f"<p>{plain(words)}</p>"


def section(title: str, *blocks: str) -> str:
    """Return a titled part of the page."""
    return "\n".join([f"<section>\n<h2>{plain(title)}</h2>", *blocks, "</section>"])


def grid(*blocks: str, kind: str = "") -> str:
    """Return blocks beside each other, as far as the screen is wide enough."""
    return f'<div class="grid {kind}">\n' + "\n".join(blocks) + "\n</div>"


def figure(title: str, caption: str, drawn: go.Figure | None, absent: str) -> str:
    """Return a titled figure, or a text that says why there is none."""
    if drawn is None:
        return f'<div class="absent"><h3>{plain(title)}</h3>{text(absent)}</div>'
    # The JSON comes with <, > and / escaped, so no text in it can end the script element.
    data = plotly.io.to_json(drawn, validate=False, remove_uids=True, engine="json")
    return (
        f"<figure><h3>{plain(title)}</h3>"
        f'<div class="plot" role="img" aria-label="{plain(title)}"></div>'
        f'<script type="application/json">{data}</script>'
        f"<figcaption>{plain(caption)}</figcaption></figure>"
    )


def chip(label: str, color: str) -> str:
    """Return a run's name behind a dot of its color."""
    return f'<span class="chip" style="--run:{plain(color)}">{plain(label)}</span>'


def tile(label: str, *values: tuple[str, str]) -> str:
    """Return big numbers over what they count, each with the HTML of its own small label."""
    big = "".join(f'<div class="run"><b>{plain(value)}</b><i>{name}</i></div>' for value, name in values)
    kind = "tile runs" if len(values) > 1 else "tile"
    return f'<div class="{kind}">{big}<span>{plain(label)}</span></div>'


def tiles(blocks: Iterable[str]) -> str:
    """Return a row of tiles."""
    return '<div class="tiles">' + "".join(blocks) + "</div>"


def cell(value: str, small: str = "", kind: str = "") -> str:
    """Return a table cell, with a smaller second line; `kind` gives it a color."""
    below = f"<small>{plain(small)}</small>" if small else ""
    opened = f'<td class="{kind}">' if kind else "<td>"
    return f"{opened}{plain(value)}{below}</td>"


def row(cells: Iterable[str]) -> str:
    """Return a table row."""
    return "<tr>" + "".join(cells) + "</tr>"


def group(title: str, columns: int) -> str:
    """Return a table row that names the rows below it."""
    return f'<tr class="group"><th colspan="{columns}">{plain(title)}</th></tr>'


def table(caption: str, heads: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table that scrolls sideways when it is too wide; heads are HTML."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f'<div class="wide"><table><caption>{plain(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def folded(title: str, *blocks: str) -> str:
    """Return blocks that open on demand."""
    return f"<details><summary>{plain(title)}</summary>{''.join(blocks)}</details>"
