"""What a JSON file holds: sidecars, descriptions, filters, the records of finished work (docs/records.md)."""

from typing import Any, TypeAlias

# An object whose values only its reader can tell.
Document: TypeAlias = dict[str, Any]
