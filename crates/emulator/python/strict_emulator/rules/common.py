"""What the rules of several services share."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..registry import Refusal
from ..state import STATE, now

Item = TypeVar("Item")


def stamp(resource: Any) -> None:
    """Remembers when a resource was created."""
    resource.created_moment = now()


def is_fresh(resource: Any) -> bool:
    """Whether reads do not know the resource yet (aws-facts 7.1)."""
    created = getattr(resource, "created_moment", None)
    return created is not None and now() - created < STATE.settings.fresh_unknown_for


def tags_are_late(resource: Any) -> bool:
    """Whether tags given at creation are still missing from reads (aws-facts 7.1)."""
    created = getattr(resource, "created_moment", None)
    return created is not None and now() - created < STATE.settings.tags_late_by


def page(
    items: Iterable[Item],
    size: int | None,
    token: str | None,
    bad_token: Callable[[], Refusal],
) -> tuple[list[Item], str | None]:
    """One page of a list and the token of the next, which means nothing to callers."""
    everything = list(items)
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("page:"))
        except (ValueError, UnicodeDecodeError):
            raise bad_token() from None
    end = len(everything) if size is None else start + int(size)
    following = base64.urlsafe_b64encode(f"page:{end}".encode()).decode()
    return everything[start:end], following if end < len(everything) else None
