// Schemas of what comes in and goes out, which the OpenAPI document is made from.

import { extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi'
import { z } from 'zod'

extendZodWithOpenApi(z) // once, before the first schema is made: schemas take `.openapi(…)` from here on

export { z }
