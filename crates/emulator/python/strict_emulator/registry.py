"""The one place through which strict rules change moto.

A rule is a function, registered for a handler of moto's (a method of a
response class, one per API action) or for a method of a model:

- `before`: sees the request first and may refuse it by raising `Refusal`.
- `after`: sees the result, a dictionary by the API's names, and may change it.
- `instead`: answers the request in moto's place, returning the result.
- `patch`: takes the place of a model's method and gets the original.
- `observer`: is called after each mutating request, to notice changes.

Nothing is changed before `install()`; `--plain` never calls it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult

Rule = Callable[..., Any]


class Refusal(ServiceException):
    """An error as AWS answers it: `Refusal(code, message)`."""


@dataclass
class Hooks:
    """The rules of one handler, in the order of their registration."""

    before: list[Rule] = field(default_factory=list)
    instead: Rule | None = None
    after: list[Rule] = field(default_factory=list)


class Registry:
    """All registered rules."""

    def __init__(self) -> None:
        self._hooks: dict[tuple[type, str], Hooks] = {}
        self._patches: list[tuple[Any, str, Rule]] = []
        self._observers: list[Callable[[], None]] = []
        self._installed = False

    def before(self, owner: type, *handlers: str) -> Callable[[Rule], Rule]:
        """Registers a rule `rule(response)` that runs before the handler."""
        return self._add(owner, handlers, lambda hooks, rule: hooks.before.append(rule))

    def after(self, owner: type, *handlers: str) -> Callable[[Rule], Rule]:
        """Registers a rule `rule(response, result)` that runs after the handler."""
        return self._add(owner, handlers, lambda hooks, rule: hooks.after.append(rule))

    def instead(self, owner: type, *handlers: str) -> Callable[[Rule], Rule]:
        """Registers a rule `rule(response) -> result` in the handler's place."""

        def put(hooks: Hooks, rule: Rule) -> None:
            assert hooks.instead is None, f"{rule.__name__}: the handler is replaced already"
            hooks.instead = rule

        return self._add(owner, handlers, put)

    def patch(self, owner: Any, name: str) -> Callable[[Rule], Rule]:
        """Registers a rule `rule(original, *arguments)` in place of a method."""

        def register(rule: Rule) -> Rule:
            self._patches.append((owner, name, rule))
            return rule

        return register

    def observer(self, rule: Callable[[], None]) -> Callable[[], None]:
        """Registers a function to call after each mutating request."""
        self._observers.append(rule)
        return rule

    def observe(self) -> None:
        """Calls the observers, if the rules are in force."""
        if self._installed:
            for observer in self._observers:
                observer()

    def rules(self) -> list[Rule]:
        """Every registered rule, for tests and for reading."""
        found: list[Rule] = []
        for hooks in self._hooks.values():
            found += [*hooks.before, *([hooks.instead] if hooks.instead else []), *hooks.after]
        return found + [rule for _, _, rule in self._patches] + list(self._observers)

    def install(self) -> None:
        """Puts all rules in force."""
        for (owner, handler), hooks in self._hooks.items():
            setattr(owner, handler, compose(getattr(owner, handler, None), hooks))
        for owner, name, rule in self._patches:
            install_patch(owner, name, rule)
        self._installed = True

    def _add(
        self, owner: type, handlers: tuple[str, ...], put: Callable[[Hooks, Rule], None]
    ) -> Callable[[Rule], Rule]:
        def register(rule: Rule) -> Rule:
            for handler in handlers:
                put(self._hooks.setdefault((owner, handler), Hooks()), rule)
            return rule

        return register


def compose(original: Rule | None, hooks: Hooks) -> Rule:
    """A handler that runs the rules around moto's own."""

    def handler(response: Any) -> Any:
        for rule in hooks.before:
            rule(response)
        if hooks.instead is not None:
            result = hooks.instead(response)
        else:
            assert original is not None, "a rule for a handler that moto does not have"
            answer = original(response)
            if not isinstance(answer, ActionResult):
                assert not hooks.after, "a rule for an answer that is written already"
                return answer
            result = answer.result
        for rule in hooks.after:
            result = rule(response, result)
        return ActionResult(result)

    if original is not None:
        functools.update_wrapper(handler, original)
    return handler


def install_patch(owner: Any, name: str, rule: Rule) -> None:
    """Replaces a function, method or property by one that gets the original."""
    original = inspect.getattr_static(owner, name)
    if isinstance(original, property):
        getter = original.fget
        setattr(owner, name, property(lambda self: rule(getter, self)))
        return
    if isinstance(original, (classmethod, staticmethod)):
        raise TypeError(f"cannot patch {name}: patch its caller instead")

    @functools.wraps(original)
    def replacement(*arguments: Any, **named: Any) -> Any:
        return rule(original, *arguments, **named)

    setattr(owner, name, replacement)


REGISTRY = Registry()
