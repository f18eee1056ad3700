"""What whoever computes image by image needs of a store, so that tests can hand in less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Reader(Protocol):
    """Gives bytes by md5, as `ImageStore` does."""

    def read(self, md5: str) -> bytes:
        """The bytes."""
        ...


class Store(Reader, Protocol):
    """Gives bytes that may lie elsewhere still."""

    def fetch(self, md5s: Sequence[str]) -> None:
        """Brings what is not here yet."""
        ...
