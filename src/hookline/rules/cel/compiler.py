"""A syntax tree to nested closures; evaluation is calling the outermost one.

A closure takes the scope: the variables, the budget, and the macros' variables under keys that are unique
in the expression, so that no scope is ever copied. Chains (``a.b.c``, ``a + b + c``, ``a && b && c``) become
one closure each, so that the depth of calls is the depth of nesting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from hookline.rules.cel import calls, syntax, words
from hookline.rules.cel.errors import FAILURES, CelError, EvalError, Exhausted, error_at
from hookline.rules.cel.parser import MAX_DEPTH, parse
from hookline.rules.cel.values import (
    BUDGET,
    OPERATORS,
    STEPS,
    TYPES,
    Budget,
    Run,
    Scope,
    check_result,
    constant,
    item,
    negate,
)

MAX_SOURCE = 4096
Locals = Mapping[str, str]


class Expression:
    """A compiled expression. ``names`` are the top-level variables that it mentions."""

    __slots__ = ("_run", "names", "source")

    def __init__(self, source: str, names: frozenset[str], run: Run) -> None:
        self.source = source
        self.names = names
        self._run = run

    def evaluate(self, variables: Mapping[str, object]) -> object:
        """The value for these variables; one that is not given is null. Raises ``EvalError`` and nothing else."""
        scope: Scope = {**variables, BUDGET: Budget()}
        try:
            value = self._run(scope)
            if type(value) is list or type(value) is dict:
                check_result(value)
        except Exhausted:
            raise EvalError(f"this takes more than {STEPS} steps on this input") from None
        except RecursionError:
            raise EvalError("the data is nested too deeply") from None
        except FAILURES as error:
            raise EvalError(words.failure(words.excerpt(self.source), error)) from None
        return value


def compile(source: str, variables: Collection[str]) -> Expression:
    """Compiles ``source``, which may mention ``variables``. Raises ``CelError``."""
    if len(source) > MAX_SOURCE:
        message = f"the expression has {len(source)} characters, more than {MAX_SOURCE}"
        raise CelError(message, 1, 1)
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise error_at(source, error.start, "half of a surrogate pair is no character") from None
    compiler = Compiler(source, frozenset(variables))
    run = compiler.build(parse(source), {})
    return Expression(source, frozenset(compiler.names), run)


class Compiler:
    """One compilation. ``local`` maps the macros' variables in reach to their keys in the scope."""

    def __init__(self, source: str, variables: frozenset[str]) -> None:
        self.source = source
        self.variables = variables
        self.names: set[str] = set()
        self.depth = 0
        self.macros = 0

    def fail(self, offset: int, message: str) -> CelError:
        return error_at(self.source, offset, message)

    def text(self, node: syntax.Node) -> str:
        return words.excerpt(self.source[node.start : node.end])

    def build(self, node: syntax.Node, local: Locals) -> Run:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(node.start, f"this is nested more than {MAX_DEPTH} levels deep")
        match node:
            case syntax.Literal():
                run = constant(node.value)
            case syntax.Name() | syntax.Select():
                run = self.path(node, local)
            case syntax.Binary(operator="&&" | "||"):
                run = self.logic(node, local)
            case syntax.Binary():
                run = self.operators(node, local)
            case syntax.Unary():
                run = self.unary(node, local)
            case syntax.Ternary():
                run = self.ternary(node, local)
            case syntax.Call():
                run = calls.build(self, node, local)
            case syntax.Index():
                run = self.index(node, local)
            case syntax.ListOf():
                run = self.list_of(node, local)
            case syntax.MapOf():
                run = self.map_of(node, local)
            case _:
                raise AssertionError(node)
        self.depth -= 1
        return run

    # --- names -----------------------------------------------------------------------------------

    def is_variable(self, name: syntax.Name, local: Locals) -> bool:
        return name.name in self.variables or (not name.rooted and name.name in local)

    def path(self, node: syntax.Node, local: Locals) -> Run:
        """``base.field.field``: the base is a variable, a type's qualified name, or any other expression."""
        base, steps = node, []
        while isinstance(base, syntax.Select):
            steps.append((base.field, self.text(base.operand)))
            base = base.operand
        steps.reverse()
        if not isinstance(base, syntax.Name):
            return _fields(self.build(base, local), steps)
        if not self.is_variable(base, local):
            dotted = ".".join([base.name, *(field for field, _ in steps)])
            if dotted in TYPES:
                return constant(TYPES[dotted])
            raise self.fail(base.start, words.unknown_variable(base.name, {*self.variables, *local}))
        key = base.name
        if not base.rooted and key in local:
            key = local[key]
        else:
            self.names.add(key)
        return _fields(_variable(key), steps) if steps else _variable(key)

    def bind(self, name: str, local: Locals) -> tuple[str, Locals]:
        """A key for a macro's variable, unlike all other keys, and the locals with it."""
        self.macros += 1
        key = f"{name}/{self.macros}"
        return key, {**local, name: key}

    def index(self, node: syntax.Index, local: Locals) -> Run:
        operand, key = self.build(node.operand, local), self.build(node.index, local)
        operand_text, key_text = self.text(node.operand), self.text(node.index)

        def run(scope: Scope) -> object:
            container, position = operand(scope), key(scope)
            if position is None and container is not None:
                raise EvalError(f"{key_text} is not known, so nothing can be looked up with it")
            value = item(scope[BUDGET], container, position)
            if value is NotImplemented:
                raise EvalError(words.bad_index(operand_text, container, key_text, position))
            return value

        return run

    # --- operators -------------------------------------------------------------------------------

    def operators(self, node: syntax.Node, local: Locals) -> Run:
        """A chain of arithmetic and relations, evaluated from left to right."""
        chain = []
        while isinstance(node, syntax.Binary) and node.operator not in ("&&", "||"):
            operate, done = OPERATORS[node.operator]
            texts = map(self.text, (node, node.left, node.right))
            chain.append((operate, self.build(node.right, local), words.Place(node.operator, done, *texts)))
            node = node.left
        first = self.build(node, local)
        chain.reverse()

        def run(scope: Scope) -> object:
            left = first(scope)
            for operate, operand, place in chain:
                right = operand(scope)
                try:
                    value = operate(scope[BUDGET], left, right)
                except FAILURES as error:
                    raise EvalError(words.failure(place.text, error)) from None
                if value is NotImplemented:
                    raise EvalError(words.mismatch(place, left, right))
                left = value
            return left

        return run

    def logic(self, node: syntax.Node, local: Locals) -> Run:
        """``&&`` and ``||``: an operand that decides makes the errors of all others irrelevant."""
        operator = node.operator if isinstance(node, syntax.Binary) else ""
        operands: list[Run] = []
        while isinstance(node, syntax.Binary) and node.operator == operator:
            operands.append(self.condition(node.right, local))
            node = node.left
        operands.append(self.condition(node, local))
        operands.reverse()
        decides = operator == "||"

        def run(scope: Scope) -> object:
            failure = ""
            for operand in operands:
                try:
                    if operand(scope) is decides:
                        return decides
                except EvalError as error:
                    failure = failure or str(error)  # the error itself would hold the scope in a cycle
            if failure:
                raise EvalError(failure)
            return not decides

        return run

    def condition(self, node: syntax.Node, local: Locals) -> Run:
        """A closure that gives true or false, null being false."""
        operand, text = self.build(node, local), self.text(node)

        def run(scope: Scope) -> object:
            value = operand(scope)
            if value is True or value is False:
                return value
            if value is None:
                return False
            raise EvalError(words.not_a_truth(text, value))

        return run

    def unary(self, node: syntax.Unary, local: Locals) -> Run:
        if node.operator == "!":
            condition = self.condition(node.operand, local)
            return lambda scope: not condition(scope)
        operand, text = self.build(node.operand, local), self.text(node.operand)

        def run(scope: Scope) -> object:
            value = operand(scope)
            try:
                result = negate(value)
            except FAILURES as error:
                raise EvalError(words.failure(text, error)) from None
            if result is NotImplemented:
                raise EvalError(words.unsuitable("'-'", (int, Decimal), text, value))
            return result

        return run

    def ternary(self, node: syntax.Node, local: Locals) -> Run:
        branches = []
        while isinstance(node, syntax.Ternary):
            branches.append((self.condition(node.condition, local), self.build(node.then, local)))
            node = node.otherwise
        otherwise = self.build(node, local)

        def run(scope: Scope) -> object:
            for condition, then in branches:
                if condition(scope):
                    return then(scope)
            return otherwise(scope)

        return run

    # --- lists and maps --------------------------------------------------------------------------

    def list_of(self, node: syntax.ListOf, local: Locals) -> Run:
        items = [self.build(one, local) for one in node.items]
        return lambda scope: [one(scope) for one in items]

    def map_of(self, node: syntax.MapOf, local: Locals) -> Run:
        entries = [(self.build(key, local), self.build(value, local)) for key, value in node.entries]
        texts = [self.text(key) for key, _ in node.entries]

        def run(scope: Scope) -> object:
            result: dict[object, object] = {}
            for (key_of, value_of), text in zip(entries, texts, strict=True):
                key = key_of(scope)
                if type(key) is not str and type(key) is not int and type(key) is not bool:
                    raise EvalError(words.unsuitable("a map's key", (str, int, bool), text, key))
                if key in result:  # to Python 1 and true are one key: such a map is refused as well
                    raise EvalError(f"the key {text} comes twice in this map")
                result[key] = value_of(scope)
            return result

        return run


def _fields(base: Run, steps: list[tuple[str, str]]) -> Run:
    """``base.field.field``; each step is a field and the text of what it is a field of."""

    def run(scope: Scope) -> object:
        value = base(scope)
        for field, text in steps:
            if type(value) is dict:
                value = value.get(field)
            elif value is None:
                return None
            else:
                raise EvalError(words.no_field(text, value, field))
        return value

    return run


def _variable(key: str) -> Run:
    return lambda scope: scope.get(key)
