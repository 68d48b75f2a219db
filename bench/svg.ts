// Pictures as one SVG file each: no script, no font of their own, readable on light and on dark.

export type Shape = string

const STYLE = `
  .back { fill: #ffffff } text { font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 } .small { font-size: 11px } .faint, .small { fill: #59636e }
  .grid { stroke: #d8dee4; stroke-width: 1 } .ours { fill: #0b62c4; stroke: #0b62c4 } .other { fill: #6e7781; stroke: #6e7781 }
  .line { fill: none; stroke-width: 1.5 } .hollow { fill: #ffffff; stroke-width: 2 } .range { stroke-width: 2.5 } text.ours, text.other { stroke: none }
  .bold { font-weight: 600 } text.ours { fill: #0b62c4 } .end { text-anchor: end } .mid { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .faint, .small { fill: #9198a1 } .grid { stroke: #2f353d }
    .ours { fill: #58a6ff; stroke: #58a6ff } .other { fill: #9198a1; stroke: #9198a1 } text.ours { fill: #58a6ff } .hollow { fill: #0d1117 } .line { fill: none }
  }`

export function svg(width: number, height: number, description: string, shapes: readonly Shape[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(description)}">
<style>${STYLE}
</style>
<rect class="back" width="${width}" height="${height}" rx="6"/>
${shapes.join('\n')}
</svg>
`
}

export function text(x: number, y: number, content: string, kind = ''): Shape {
  return `<text x="${at(x)}" y="${at(y)}"${kind === '' ? '' : ` class="${kind}"`}>${escaped(content)}</text>`
}

export function line(x1: number, y1: number, x2: number, y2: number, kind: string): Shape {
  return `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}" class="${kind}"/>`
}

export function circle(x: number, y: number, radius: number, kind: string): Shape {
  return `<circle cx="${at(x)}" cy="${at(y)}" r="${radius}" class="${kind}"/>`
}

export function curve(points: readonly (readonly [x: number, y: number])[], kind: string): Shape {
  return `<polyline points="${points.map(([x, y]) => `${at(x)},${at(y)}`).join(' ')}" class="line ${kind}"/>`
}

function at(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
