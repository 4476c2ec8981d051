"""Layer 1b: requests to LLM services, and their responses as events. Imports the core, never a store."""
