"""Training loops of other libraries, recorded: see ``integrations.transformers``."""
