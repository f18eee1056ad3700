"""How the report looks. Colours have a contrast of at least 4.5 to 1 in light and in dark."""

CSS = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f5f6f8; --text: #1b1f24; --soft: #57606a; --line: #d5dae0;
  --link: #0a58a6; --good: #0b6b3a; --warn: #8a4b00; --warn-ground: #fff4e0; --cell: 0 114 178;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1e2329; --text: #e8eaed; --soft: #a8b0b9; --line: #3a424b;
    --link: #7cb8f5; --good: #6fd39c; --warn: #f2b765; --warn-ground: #33281a; --cell: 86 180 233;
  }
}
* { box-sizing: border-box }
html { scroll-behavior: smooth; scroll-padding-top: 1rem }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
a { color: var(--link) }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px;
}
.skip { position: absolute; left: -999rem; background: var(--panel); padding: .5rem 1rem }
.skip:focus { left: 1rem; top: 1rem; z-index: 2 }
.layout { display: grid; grid-template-columns: 14rem minmax(0, 1fr); max-width: 84rem;
  margin: auto }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto;
  padding: 2rem 1rem }
nav ul { list-style: none; margin: .5rem 0 0; padding: 0; font-size: .92rem }
nav li { margin: .3rem 0 }
nav a { text-decoration: none }
nav a:hover { text-decoration: underline }
main { padding: 2rem 1.5rem 4rem }
.alone { max-width: 72rem; margin: auto }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem }
h2 { font-size: 1.35rem; margin: 2.8rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1.06rem; margin: 1.6rem 0 .4rem }
p { margin: .4rem 0 .8rem; max-width: 46rem }
.soft { color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem;
  margin: 1.2rem 0; padding: 0; list-style: none }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem }
.tile b { display: block; font-size: 1.7rem; line-height: 1.25; font-variant-numeric: tabular-nums }
.tile span { display: block; font-size: .86rem; color: var(--soft) }
.tile .name { color: var(--text); font-weight: 600 }
.note { background: var(--warn-ground); border-left: 4px solid var(--warn); padding: .6rem 1rem;
  border-radius: .3rem; margin: 1rem 0 }
.note ul { list-style: none; margin: .2rem 0; padding: 0 }
.note h2 { border: 0; margin: 0; padding: 0; font-size: 1.06rem }
.side { display: flex; flex-wrap: wrap; gap: 0 3rem }
.side .scroll { max-width: none }
ol.steps { padding-left: 1.3rem; max-width: 50rem }
ol.steps li { margin: .6rem 0 }
.scroll { overflow-x: auto; margin: .6rem 0 1.2rem; max-width: 100% }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); font-size: .86rem; padding: .2rem 0 .4rem }
th, td { padding: .32rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top }
thead th { border-bottom: 2px solid var(--line); white-space: nowrap }
td.n, th.n { text-align: right; white-space: nowrap }
tbody th { font-weight: 500 }
.wrap { min-width: 6rem; max-width: 22rem; overflow-wrap: anywhere }
.confusion td { text-align: center; min-width: 5rem; border: 1px solid var(--line) }
td.strong, tr.strong td { font-weight: 700 }
td.soft, tr.soft td, .under { color: var(--soft) }
td.good { color: var(--good) }
td.warn, td.bad, tr.bad td { color: var(--warn) }
.under { display: block; font-weight: 400; font-size: .86em }
figure { margin: 0 }
figure.plot { margin: .8rem 0 1.4rem }
figure.plot img { background: #fff; border-radius: .5rem; border: 1px solid var(--line);
  max-width: 100%; height: auto; padding: .4rem }
figcaption { font-size: .84rem; color: var(--soft); overflow-wrap: anywhere }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .9rem;
  list-style: none; margin: .8rem 0 1.4rem; padding: 0 }
.gallery.wide { grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)) }
.gallery img { width: 100%; border-radius: .4rem; display: block; margin-bottom: .3rem }
.gallery b { color: var(--text) }
.strip { margin: .9rem 0 }
.strip img { max-width: 100%; height: auto; border-radius: .3rem; display: block }
details { margin: .6rem 0 1.2rem }
summary { cursor: pointer; color: var(--link) }
footer { margin-top: 3rem; color: var(--soft); font-size: .86rem; border-top: 1px solid var(--line);
  padding-top: .8rem }
@media (max-width: 60rem) {
  .layout { display: block }
  nav { position: static; padding: 1rem 1.5rem 0; max-height: none }
  nav ul { columns: 2 }
  main { padding: 1rem 1.5rem 3rem }
}
@media print {
  :root { --ground: #fff; --panel: #fff; --text: #000; --soft: #444; --line: #bbb; --link: #000 }
  nav, .skip { display: none }
  .layout { display: block }
  body { font-size: 11pt }
  h2, h3 { break-after: avoid }
  figure, tr, .tile, .strip, .gallery li { break-inside: avoid }
}
"""
