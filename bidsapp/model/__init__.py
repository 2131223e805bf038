"""Commands about model files: ``python -m bidsapp.model check`` and ``new``."""
