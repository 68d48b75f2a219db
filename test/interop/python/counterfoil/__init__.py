"""A second verifier of Counterfoil's evidence, written from docs/format.md alone. It shares no code with the first."""
