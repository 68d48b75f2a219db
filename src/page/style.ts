// How the page looks: one column, the browser's own fonts, light and dark.

export const STYLE = `
:root{color-scheme:light dark;--ink:#1a1d21;--soft:#626a73;--line:#d9dde2;--paper:#fff;--card:#f6f7f9;--good:#0b6b3a;--bad:#b3261e;--warn:#8a5a00}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa3ad;--line:#343a41;--paper:#14171a;--card:#1c2024;--good:#5fd394;--bad:#ff8a80;--warn:#f0c060}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft)}
code,pre,.mono{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.85rem;overflow-wrap:anywhere}
.verdict{border:1px solid var(--line);border-left:.4rem solid var(--soft);border-radius:.4rem;padding:.75rem 1rem;background:var(--card);margin:1rem 0}
.verdict.good{border-left-color:var(--good)}.verdict.bad{border-left-color:var(--bad)}.verdict.open{border-left-color:var(--warn)}
.verdict strong{font-size:1.15rem}
dl{display:grid;grid-template-columns:6rem 1fr;gap:.2rem .75rem;margin:.6rem 0}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.proved{color:var(--good)}.failed{color:var(--bad)}.asserted,.unknown{color:var(--soft)}
form{display:flex;gap:.5rem;flex-wrap:wrap;margin-top:.75rem}
input{flex:1 1 14rem;min-width:0;font:inherit;padding:.4rem .6rem;border:1px solid var(--line);border-radius:.3rem;background:var(--paper);color:var(--ink)}
button{font:inherit;padding:.4rem .9rem;border:1px solid var(--line);border-radius:.3rem;background:var(--paper);color:var(--ink);cursor:pointer}
ol{list-style:none;margin:0;padding:0}li{border-top:1px solid var(--line);padding:.6rem 0}
.head{display:flex;flex-wrap:wrap;gap:.2rem .75rem;align-items:baseline}
.type{font-weight:600}.facts{color:var(--soft);overflow-wrap:anywhere}
.payload{margin:.4rem 0 0;padding:.4rem .6rem;background:var(--card);border-radius:.3rem}
pre{margin:.2rem 0 0;white-space:pre-wrap;max-height:24rem;overflow:auto}
@media(max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
`
