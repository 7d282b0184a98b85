"""How the page looks: two sets of colours, for light and dark; tests/html_test.py computes their contrast."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f6f3; --card: #ffffff; --line: #dddad2; --text: #1f2328; --soft: #5b626b; --link: #0b5cad;
  --same: #12683d; --same-card: #e9f4ee; --different: #9d3412; --different-card: #fbeee8;
  --quiet: #d5dbe1; --quiet-edge: #ffffff; --quiet-text: #2b3138; --changed: #d9652f; --changed-text: #1f0f05;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1c2026; --line: #343a43; --text: #e6e8eb; --soft: #a3abb5; --link: #7db7f2;
    --same: #74d3a1; --same-card: #16281f; --different: #f5a07c; --different-card: #301d14;
    --quiet: #3a424c; --quiet-edge: #1c2026; --quiet-text: #e6e8eb; --changed: #e2764a; --changed-text: #1f0f05;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word; }
body { font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif; }
main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
main { padding-top: 2.5rem; }
footer { padding-top: 1rem; padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
h1 { margin: 0; font-size: 2rem; line-height: 1.25; font-weight: 650; }
h2 { margin: 3rem 0 .75rem; font-size: 1.375rem; font-weight: 650; }
h3 { margin: 2rem 0 .75rem; font-size: 1.0625rem; font-weight: 650; }
h4 { margin: 0; font-size: 1.0625rem; font-weight: 650; }
p { margin: .375rem 0; }
a { color: var(--link); }
h2, a, caption, figarticle td:first-child { min-width: 8rem; }
caption { overflow-wrap: anywhere; }
code { font: .875em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; unicode-bidi: isolate; direction: ltr; }
.verdict { display: flex; gap: 1.25rem; align-items: flex-start; padding: 1.5rem 1.75rem; border-radius: .75rem; border: 1px solid; }
.verdict svg { flex: none; width: 2.5rem; height: 2.5rem; }
.verdict div { min-width: 0; }
.verdict p { color: var(--text); }
.same { color: var(--same); }
.different { color: var(--different); }
.verdict.same { background: var(--same-card); border-color: var(--same); }
.verdict.different { background: var(--different-card); border-color: var(--different); }
.card { margin: 0 0 1rem; padding: 1.125rem 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: .625rem; }
.count, .soft { color: var(--soft); font-weight: 400; }
.count { margin-left: .5rem; font-size: .875rem; }
.todo::before { content: "What to do: "; color: var(--soft); }
.todo { margin-top: .5rem; padding-left: .875rem; border-left: 3px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .375rem 1.25rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th, td { padding: .4375rem .75rem .4375rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .8125rem; }
article td:first-child { min-width: 8rem; }
caption { padding-top: .75rem; color: var(--soft); text-align: left; }
summary { margin-top: .75rem; color: var(--link); cursor: pointer; width: max-content; max-width: 100%; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }
figure { margin: 0 0 1rem; }
figarticle td:first-child { min-width: 8rem; }
caption { margin-bottom: .375rem; color: var(--soft); font-size: .875rem; }
figure svg { display: block; width: 100%; height: auto; border-radius: .375rem; }
rect.equal { fill: var(--quiet); stroke: var(--quiet-edge); stroke-width: 1.5; }
rect.other { fill: var(--changed); stroke: var(--quiet-edge); stroke-width: 1.5; }
figure text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--quiet-text); }
figure text.other { fill: var(--changed-text); font-weight: 600; }
.key { display: inline-block; width: .75rem; height: .75rem; border-radius: .1875rem; background: var(--quiet); vertical-align: -.0625rem; }
.key.other { background: var(--changed); }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .625rem; }
  figure text { display: none; }
  .verdict { padding: 1.125rem; }
}
@media print { body { background: #fff; } .card, .verdict { break-inside: avoid; } }
"""
