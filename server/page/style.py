"""How pages look: one style sheet, light and dark, on screens and on paper."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b2427; --dim: #5d6b70; --rule: #dfe5e7; --soft: #f5f7f8;
  --c0: #0a7a6c; --c1: #c8590b; --c2: #2f66c9; --c3: #8b3fa8; --c4: #9a7b00; --c5: #b3244f;
  --good: #1a7f37; --warning: #a15c00; --bad: #c62828; --muted: #8b989d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12181a; --ink: #e4eaec; --dim: #9aa8ad; --rule: #2c373b; --soft: #1a2225;
    --c0: #3cc4b1; --c1: #f39a55; --c2: #7ea8f5; --c3: #c78be0; --c4: #d9bb4a; --c5: #ee7a9c;
    --good: #56c271; --warning: #e8a94a; --bad: #f07b72; --muted: #77858a;
  }
}
* { box-sizing: border-box }
body {
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem;
}
h1 { font-size: 1.65rem; line-height: 1.2; margin: 0 0 .2rem }
h2 {
  font-size: 1.15rem; margin: 2.6rem 0 .7rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--rule);
}
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem }
p { margin: .5rem 0; max-width: 46rem }
a { color: var(--c0) }
.dim, figcaption, footer, caption { color: var(--dim) }
nav { margin: .9rem 0 0; font-size: .9rem }
nav a { margin-right: 1rem; text-decoration: none }
code, pre { font: .86em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
code { background: var(--soft); padding: .08em .3em; border-radius: 3px }
pre {
  background: var(--soft); border: 1px solid var(--rule); border-radius: 6px; padding: .7rem .9rem;
  overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere;
}
.figures {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .7rem;
  margin: .9rem 0; padding: 0;
}
.figures > div {
  border: 1px solid var(--rule); border-left: 3px solid var(--rule); border-radius: 6px;
  padding: .55rem .8rem;
}
.figures dt { font-size: .8rem; color: var(--dim) }
.figures dd { margin: 0; font-size: 1.35rem; line-height: 1.3; overflow-wrap: anywhere }
.figures dd.note { font-size: .78rem; color: var(--dim) }
.figures > .good { border-left-color: var(--good) }
.figures > .warning { border-left-color: var(--warning) }
.figures > .bad { border-left-color: var(--bad) }
.callout {
  border: 1px solid var(--rule); border-left: 4px solid var(--muted); border-radius: 6px;
  padding: .6rem .9rem; margin: .9rem 0; background: var(--soft);
}
.callout.good { border-left-color: var(--good) }
.callout.warning { border-left-color: var(--warning) }
.callout.bad { border-left-color: var(--bad) }
.badge {
  display: inline-block; font-size: .78rem; line-height: 1.35; padding: 0 .5em;
  border: 1px solid currentColor; border-radius: 1em; color: var(--dim); white-space: nowrap;
}
.badge.good { color: var(--good) } .badge.warning { color: var(--warning) }
.badge.bad { color: var(--bad) }
.scroll { overflow-x: auto; margin: .8rem 0 }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
caption { text-align: left; padding-bottom: .3rem }
th, td { text-align: left; padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--rule) }
th { font-weight: 600; font-size: .8rem; color: var(--dim); vertical-align: bottom }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
td.s { overflow-wrap: normal }
td.n, th.n { text-align: right; white-space: nowrap }
td svg { display: block }
details { margin: .7rem 0 } summary { cursor: pointer; color: var(--dim) }
figure { margin: 1rem 0 1.4rem; break-inside: avoid }
figcaption { font-size: .85rem; display: flex; flex-wrap: wrap; gap: .1rem 1rem }
figcaption b { color: var(--ink); font-weight: 600; margin-right: auto }
.entry { white-space: nowrap }
.key {
  display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em;
  background: var(--muted); vertical-align: -.05em;
}
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 1.5rem }
.pair figure { margin: .5rem 0 }
svg.chart { display: block; width: 100%; height: auto }
svg text { font: 11.5px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--dim) }
svg .note { fill: var(--ink) }
svg .note.warning { fill: var(--warning) } svg .note.bad { fill: var(--bad) }
svg .grid { stroke: var(--rule); stroke-width: 1 } svg .axis { stroke: var(--muted) }
svg .line { fill: none; stroke: var(--tone); stroke-width: 1.8; stroke-linejoin: round }
svg .band { fill: var(--tone); opacity: .16 }
svg .area { fill: var(--tone); opacity: .35 }
svg .bar, svg .dot { fill: var(--tone) }
svg .level { stroke: var(--tone); stroke-width: 1.2; stroke-dasharray: 5 4 }
svg .tip { fill: var(--tone); opacity: 0 } svg .tip:hover { opacity: .9 }
svg .cover { fill: var(--ink); opacity: 0 } svg .cover:hover { opacity: .07 }
.c0 { --tone: var(--c0) } .c1 { --tone: var(--c1) } .c2 { --tone: var(--c2) }
.c3 { --tone: var(--c3) } .c4 { --tone: var(--c4) } .c5 { --tone: var(--c5) }
.good { --tone: var(--good) } .warning { --tone: var(--warning) } .bad { --tone: var(--bad) }
.muted { --tone: var(--muted) }
.key[class*=" "] { background: var(--tone) }
footer {
  margin-top: 3rem; padding-top: .6rem; border-top: 1px solid var(--rule); font-size: .82rem;
}
@media (max-width: 40rem) { body { padding: 1.2rem .8rem 3rem } }
@media print {
  :root {
    --paper: #fff; --ink: #000; --dim: #444; --rule: #ccc; --soft: #fff;
    --c0: #0a7a6c; --c1: #c8590b; --c2: #2f66c9; --c3: #8b3fa8; --c4: #9a7b00; --c5: #b3244f;
    --good: #1a7f37; --warning: #a15c00; --bad: #c62828; --muted: #8b989d;
  }
  body { max-width: none; padding: 0; font-size: 10pt; print-color-adjust: exact }
  nav { display: none } h2, h3 { break-after: avoid } tr, .figures > div { break-inside: avoid }
  .scroll { overflow: visible }
}
"""

_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

#: What a page may do: show itself. It is in the page, too, where it also binds a saved file.
SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
