// Properties draw new cases at every run; `FC_SEED=…` repeats the cases of one. CI gives a seed, so that its answer is about the commit.

import fc from 'fast-check'

const seed = process.env['FC_SEED']
if (seed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) })
