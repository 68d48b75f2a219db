// How the page looks: one column, the browser's own fonts, light and dark, on paper. Nothing moves. `dir=auto` would make a `pre` plaintext, which lays
// out a long text ten times slower (a megabyte in one line: 4 s, not 0.4).

export const STYLE = `
:root{color-scheme:light dark;--ink:#1a1d21;--soft:#59616a;--line:#c9ced4;--paper:#fff;--card:#f5f6f8;--good:#0a6336;--bad:#a81f18;--warn:#7a4f00;--link:#0b57a4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a3acb6;--line:#434a52;--paper:#14171a;--card:#1d2126;--good:#63d698;--bad:#ff9189;--warn:#f2c464;--link:#8ec5ff}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}h2{font-size:1.2rem;line-height:1.3;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}
p{margin:.4rem 0}.lead{font-size:1.05rem}.soft{color:var(--soft)}
p,li,dd,div,span,strong,h2,summary{overflow-wrap:anywhere}
code,pre,.mono{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.85rem;overflow-wrap:anywhere}
a{color:var(--link)}
.verdict{border:1px solid var(--line);border-left:.5rem solid var(--soft);border-radius:.4rem;padding:.9rem 1rem;background:var(--card);margin:1rem 0}
.verdict h2{margin:0 0 .25rem}
.verdict.good{border-left-color:var(--good)}.verdict.bad{border-left-color:var(--bad)}.verdict.open{border-left-color:var(--warn)}
.good h2{color:var(--good)}.bad h2{color:var(--bad)}.open h2{color:var(--warn)}
dl{display:grid;grid-template-columns:5.5rem 1fr;gap:.25rem .75rem;margin:.75rem 0}dt{font-weight:600}dd{margin:0}
.proved{color:var(--good)}.failed{color:var(--bad)}.asserted,.unknown{color:var(--soft)}
.steps,.verdict ul{margin:.25rem 0;padding-left:1.4rem}.steps li,.verdict ul li{margin:.35rem 0}
form{display:flex;gap:.5rem;flex-wrap:wrap;align-items:center;margin:.5rem 0}
form p{flex-basis:100%}
label{font-weight:600}
input{font:inherit;min-width:0;padding:.4rem .6rem;border:1px solid var(--soft);border-radius:.3rem;background:var(--paper);color:var(--ink)}
::placeholder{color:var(--soft);opacity:1}
input.mono,input[type=search]{flex:1 1 14rem}
.tick{display:inline-flex;gap:.4rem;align-items:center}.tick label{font-weight:400}
button{font:inherit;padding:.3rem .8rem;border:1px solid var(--soft);border-radius:.3rem;background:var(--paper);color:var(--ink);cursor:pointer}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
summary{cursor:pointer}.verdict li button{font-size:.85rem;padding:.05rem .5rem}.verdict form button{font-size:1rem;padding:.3rem .8rem}
.events{list-style:none;margin:.5rem 0;padding:0}
.events>li{border-top:1px solid var(--line);padding:.6rem .25rem}
.long>li{content-visibility:auto;contain-intrinsic-size:auto 6rem}
.events>li.bad{border-left:.3rem solid var(--bad);padding-left:.6rem}
.head{display:flex;flex-wrap:wrap;gap:.1rem .75rem;align-items:baseline}
.facts{color:var(--soft)}
.payload{margin:.4rem 0 0;padding:.4rem .6rem;background:var(--card);border:1px solid var(--line);border-radius:.3rem}
.whole{margin:.3rem 0 0 .75rem}
.escape{color:var(--bad);border-bottom:1px dotted}
pre{margin:.2rem 0 0;white-space:pre-wrap;unicode-bidi:isolate;max-height:24rem;overflow:auto}
@media(max-width:30rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}.verdict{padding:.75rem}}
@media print{
:root{color-scheme:light;--ink:#000;--soft:#444;--line:#aaa;--paper:#fff;--card:#fff;--good:#0a6336;--bad:#a81f18;--warn:#7a4f00;--link:#000}
body{font-size:10.5pt}main{max-width:none;padding:0}
button,form,.tick{display:none}
pre{max-height:none;overflow:visible}
.long>li{content-visibility:visible}
.head,h2,h3,dt{break-after:avoid}dd{break-inside:avoid}
}
`
