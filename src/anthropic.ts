// counterfoil/anthropic: records the model calls of Anthropic's SDK.

export {}
