// counterfoil/page: the page around a bundle that `trail.export` gave.

export { evidencePage } from './page/evidence.ts'
