"""Floor 1b: what an LLM service says. Imports the core, never a store."""
