"""The macros over lists and maps (of a map they see the keys): closures that run a body for each item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hookline.rules.cel.errors import EvalError
from hookline.rules.cel.values import BUDGET, Run, Scope

# Gets the scope, the items, and the steps that one of them costs.
Loop = Callable[[Scope, Iterable[object], int], object]


@dataclass(frozen=True, slots=True)
class Macro:
    """``make`` builds the loop from the variable's key, the condition and the transformation.

    ``arguments`` are the numbers of arguments that it can have. Unless it ``transforms``, all behind the
    variable are conditions; if it does, the last one is what each item becomes.
    """

    usage: str
    make: Callable[[str, Run | None, Run | None], Loop]
    arguments: tuple[int, ...] = (2,)
    transforms: bool = False


def _always(scope: Scope) -> object:
    return True


def _quantifier(decides: bool) -> Callable[[str, Run | None, Run | None], Loop]:
    """``exists`` and ``all``: an item that decides makes the errors of all others irrelevant."""

    def make(key: str, condition: Run | None, transform: Run | None) -> Loop:
        holds = condition or _always

        def loop(scope: Scope, items: Iterable[object], cost: int) -> object:
            failure = ""
            for one in items:
                scope[BUDGET].charge(cost)
                scope[key] = one
                try:
                    if holds(scope) is decides:
                        return decides
                except EvalError as error:
                    scope[BUDGET].charge(10)  # to fail takes longer than to succeed
                    failure = failure or str(error)  # the error itself would hold the scope in a cycle
            if failure:
                raise EvalError(failure)
            return not decides

        return loop

    return make


def _exists_one(key: str, condition: Run | None, transform: Run | None) -> Loop:
    chosen = _map(key, condition, None)
    return lambda scope, items, cost: len(chosen(scope, items, cost)) == 1


def _map(
    key: str, condition: Run | None, transform: Run | None
) -> Callable[[Scope, Iterable[object], int], list[object]]:
    """``map`` and, without a transformation, ``filter``."""
    holds = condition or _always

    def loop(scope: Scope, items: Iterable[object], cost: int) -> list[object]:
        result = []
        for one in items:
            scope[BUDGET].charge(cost)
            scope[key] = one
            if holds(scope):
                result.append(transform(scope) if transform else one)
        return result

    return loop


MACROS = {
    "all": Macro("list.all(item, condition)", _quantifier(False)),
    "exists": Macro("list.exists(item, condition)", _quantifier(True)),
    "exists_one": Macro("list.exists_one(item, condition)", _exists_one),
    "filter": Macro("list.filter(item, condition)", _map),
    "map": Macro("list.map(item, value) or list.map(item, condition, value)", _map, (2, 3), transforms=True),
}
