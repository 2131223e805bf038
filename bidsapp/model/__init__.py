"""Commands about model files: ``python -m bidsapp.model`` ``check``, ``graph``, ``migrate`` and ``new``."""
