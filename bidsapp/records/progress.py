"""How work that knows no terminal tells how far it is."""

from collections.abc import Callable
from typing import TypeAlias

# Is told how much is done, and of how much.
Tell: TypeAlias = Callable[[int, int], None]


def nobody(_done: int, _total: int) -> None:
    """Be told, and do nothing."""
