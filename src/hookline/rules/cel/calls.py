"""Calls to closures: functions, methods, and the macros."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hookline.rules.cel import syntax, words
from hookline.rules.cel.errors import FAILURES, EvalError
from hookline.rules.cel.functions import ANYTHING, FUNCTIONS, METHODS, Function, weight
from hookline.rules.cel.macros import MACROS
from hookline.rules.cel.values import BUDGET, Budget, Run, Scope, constant

if TYPE_CHECKING:
    from hookline.rules.cel.compiler import Compiler

Locals = Mapping[str, str]


def build(compiler: Compiler, node: syntax.Call, local: Locals) -> Run:
    receiver, name = node.receiver, node.name
    if receiver is None:
        if name == "has":
            return _has(compiler, node, local)
        return _function(compiler, node, name, node.arguments, local)
    if isinstance(receiver, syntax.Name) and not compiler.is_variable(receiver, local):
        namespace = f"{receiver.name}."
        if any(one.startswith(namespace) for one in FUNCTIONS):
            return _function(compiler, node, namespace + name, node.arguments, local)
    if name in MACROS:
        return _macro(compiler, node, receiver, local)
    return _function(compiler, node, name, (receiver, *node.arguments), local)


def _has(compiler: Compiler, node: syntax.Call, local: Locals) -> Run:
    if len(node.arguments) != 1 or not isinstance(node.arguments[0], syntax.Select):
        raise compiler.fail(node.name_start, "has() takes one field, as in has(event.data.name)")
    field = compiler.build(node.arguments[0], local)
    return lambda scope: field(scope) is not None


def _macro(compiler: Compiler, node: syntax.Call, receiver: syntax.Node, local: Locals) -> Run:
    macro, name = MACROS[node.name], f"{node.name}()"
    variable = node.arguments[0] if len(node.arguments) in macro.arguments else None
    if not isinstance(variable, syntax.Name) or variable.rooted:
        raise compiler.fail(node.name_start, f"{name} is written {macro.usage}")
    text, items_of = compiler.text(receiver), compiler.build(receiver, local)
    key, inner = compiler.bind(variable.name, local)
    bodies = node.arguments[1:]
    transform = compiler.build(bodies[-1], inner) if macro.transforms else None
    tests = [compiler.condition(body, inner) for body in (bodies[:-1] if macro.transforms else bodies)]
    loop = macro.make(key, tests[0] if tests else None, transform)
    # An item costs as much as there is to do for it.
    cost = 1 + sum(body.end - body.start for body in bodies) // 16

    def run(scope: Scope) -> object:
        items = items_of(scope)
        if type(items) is not list and type(items) is not dict:
            raise EvalError(words.unsuitable(name, (list, dict), text, items))
        return loop(scope, items, cost)

    return run


def _function(
    compiler: Compiler, node: syntax.Call, name: str, given: tuple[syntax.Node, ...], local: Locals
) -> Run:
    receivers = len(given) - len(node.arguments)
    function = (METHODS if receivers else FUNCTIONS).get(name)
    if function is None:
        raise compiler.fail(node.name_start, words.unknown_function(name, bool(receivers)))
    takes = function.takes
    highest = None if function.variadic else len(takes)
    if len(given) < function.needs or (highest is not None and len(given) > highest):
        counts = (function.needs - receivers, None if highest is None else highest - receivers)
        raise compiler.fail(node.name_start, words.wrong_count(name, *counts, len(node.arguments)))
    arguments = [
        (compiler.build(one, local), takes[min(position, len(takes) - 1)], compiler.text(one))
        for position, one in enumerate(given)
    ]
    prepare = None
    if function.prepare and len(given) == len(takes):
        last = given[-1]
        if isinstance(last, syntax.Literal) and type(last.value) in takes[-1]:
            try:
                value = function.prepare(last.value)
            except FAILURES as error:
                raise compiler.fail(last.start, words.reason(error)) from None
            if len(given) == 1:
                return constant(function.run(value))
            arguments[-1] = (constant(value), ANYTHING, "")
        else:
            prepare = _preparing(function, function.prepare)
    return _calling(function, f"{name}()", compiler.text(node), arguments, prepare)


def _calling(
    function: Function,
    name: str,
    whole: str,
    arguments: list[tuple[Run, tuple[type, ...], str]],
    prepare: Callable[[Budget, Any], object] | None,
) -> Run:
    perform, weighs = function.run, function.weighs

    def run(scope: Scope) -> object:
        values = []
        for argument, types, text in arguments:
            value = argument(scope)
            if types and type(value) not in types:
                raise EvalError(words.unsuitable(name, types, text, value))
            values.append(value)
        budget: Budget = scope[BUDGET]
        try:
            if weighs:
                budget.charge(sum(map(weight, values)))
            if prepare:
                values[-1] = prepare(budget, values[-1])
            result = perform(*values)
            if weighs:
                budget.charge(weight(result))
        except FAILURES as error:
            raise EvalError(words.failure(whole, error)) from None
        return result

    return run


def _preparing(function: Function, prepare: Callable[[Any], object]) -> Callable[[Budget, Any], object]:
    """``prepare``, with what is costly kept for a few arguments."""
    if not function.prepare_cost:
        return lambda budget, value: prepare(value)
    kept: dict[Any, object] = {}

    def prepared(budget: Budget, value: Any) -> object:
        if value not in kept:
            budget.charge(function.prepare_cost)
            if len(kept) >= 16:
                kept.clear()
            kept[value] = prepare(value)
        return kept[value]

    return prepared
