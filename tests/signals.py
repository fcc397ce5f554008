"""A signal at a moment that no busy machine moves; imported by processes that need nothing else of the tests."""

import pkgutil
import signal
from collections.abc import Callable
from typing import Any


def signal_at(place: str, name: str, count: int, number: int, patch: Callable[..., None] = setattr) -> None:
    """Has a signal raised in this process at a call of a method: at a moment that no busy machine moves.

    Args:
        place: the class, as `package.module:Class`.
        name: of the method.
        count: of the call, from 1 on.
        number: of the signal.
        patch: as `setattr`.
    """
    owner, calls = pkgutil.resolve_name(place), []
    method = getattr(owner, name)

    def signalling(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == count:
            signal.raise_signal(number)
        return method(*arguments, **options)

    patch(owner, name, signalling)
