"""Tokens to a syntax tree, after the grammar of the CEL language definition (section "Syntax")."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from hookline.rules.cel.errors import error_at
from hookline.rules.cel.lexer import Token, tokenize
from hookline.rules.cel.syntax import (
    Binary,
    Call,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
)

MAX_DEPTH = 50

_RANKS = {"||": 0, "&&": 1}
_RANKS |= dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "in"), 2)
_RANKS |= dict.fromkeys(("+", "-"), 3)
_RANKS |= dict.fromkeys(("*", "/", "%"), 4)

_CONSTANTS = {"true": True, "false": False, "null": None}
_KEYWORDS = frozenset(_CONSTANTS) | {"in"}
_RESERVED = frozenset((
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
))  # fmt: skip
_WORDS = {"and": "; 'and' is written '&&'", "or": "; 'or' is written '||'", "not": "; 'not' is written '!'"}


def parse(source: str) -> Node:
    """The tree of ``source``. Raises ``CelError``."""
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.position = 0
        self.depth = 0

    def peek(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def sees(self, mark: str) -> bool:
        token = self.tokens[self.position]
        return token.kind == "mark" and token.text == mark

    def accept(self, mark: str) -> bool:
        if self.sees(mark):
            self.position += 1
            return True
        return False

    def expected(self, what: str) -> NoReturn:
        token = self.peek()
        found = f"found {token.text!r}" if token.kind != "end" else "but the expression ends here"
        before = self.tokens[self.position - 1].text  # of ``not x`` it is x that is found
        hint = _WORDS.get(token.text) or (_WORDS["not"] if before == "not" else "")
        raise error_at(self.source, token.start, f"expected {what}, {found}{hint}")

    def close(self, mark: str, opening: Token, more: str = "an operator, ','") -> Token:
        if not self.sees(mark):
            place = error_at(self.source, opening.start, "")
            which = f"the {opening.text!r} at {place.line}:{place.column}"
            self.expected(f"{more} or {mark!r} to close {which}")
        return self.take()

    def whole(self) -> Node:
        if self.peek().kind == "end":
            raise error_at(self.source, 0, "the expression is empty")
        node = self.expression()
        if self.peek().kind != "end":
            self.expected("an operator or the end")
        return node

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise error_at(
                self.source, self.peek().start, f"this is nested more than {MAX_DEPTH} levels deep"
            )
        node = self.binary(0)
        branches = []
        while self.accept("?"):
            then = self.binary(0)
            if not self.accept(":"):
                self.expected("':' and the value for when the condition is false")
            branches.append((node, then))
            node = self.binary(0)
        for condition, then in reversed(branches):
            node = Ternary(condition.start, node.end, condition, then, node)
        self.depth -= 1
        return node

    def binary(self, lowest: int) -> Node:
        """Precedence climbing: operators of rank ``lowest`` and above, all left-associative."""
        left = self.unary()
        while self.peek().kind in ("mark", "name") and (rank := _RANKS.get(self.peek().text, -1)) >= lowest:
            operator = self.take().text
            right = self.binary(rank + 1)
            left = Binary(left.start, right.end, operator, left, right)
        return left

    def unary(self) -> Node:
        operators = []
        while self.sees("!") or self.sees("-"):
            operators.append(self.take())
        node = self.member()
        for operator in reversed(operators):
            node = Unary(operator.start, node.end, operator.text, node)
        return node

    def member(self) -> Node:
        node = self.primary()
        while True:
            opening = self.peek()
            if self.accept("."):
                node = self.select(node)
            elif self.accept("["):
                index = self.expression()
                node = Index(node.start, self.close("]", opening, "an operator").end, node, index)
            elif self.sees("{") and isinstance(node, Name | Select):
                message = "there are no message types to build; a map is written {'key': value}"
                raise error_at(self.source, node.start, message)
            else:
                return node

    def select(self, operand: Node) -> Node:
        field = self.peek()
        if field.kind not in ("name", "quoted"):
            self.expected("a field name after '.'")
        if field.kind == "name" and field.text in _KEYWORDS:
            self.expected(f"a field name after '.' (a field of this name is reached with ['{field.text}'])")
        self.take()
        if field.kind == "name" and self.sees("("):
            return self.call(operand, field)
        return Select(operand.start, field.end, operand, field.text)

    def call(self, receiver: Node | None, name: Token) -> Node:
        opening = self.take()
        arguments: list[Node] = []
        while not self.sees(")") or arguments:
            arguments.append(self.expression())
            if not self.accept(","):
                break
        end = self.close(")", opening).end
        start = receiver.start if receiver else name.start
        return Call(start, end, receiver, name.text, name.start, tuple(arguments))

    def primary(self) -> Node:
        token = self.peek()
        if token.kind == "literal":
            self.take()
            return Literal(token.start, token.end, token.value)
        if token.kind == "name":
            return self.named(self.take())
        if self.accept("("):
            node = self.expression()
            return replace(node, start=token.start, end=self.close(")", token, "an operator").end)
        if self.accept("["):
            return self.list_of(token)
        if self.accept("{"):
            return self.map_of(token)
        if self.accept("."):
            name = self.peek()
            if name.kind != "name":
                self.expected("a variable after '.'")
            return replace(self.named(self.take(), rooted=True), start=token.start)
        self.expected("a value")

    def named(self, token: Token, rooted: bool = False) -> Node:
        if token.text in _CONSTANTS and not rooted:
            return Literal(token.start, token.end, _CONSTANTS[token.text])
        if token.text in _RESERVED or token.text in _KEYWORDS:
            self.position -= 1
            reserved = " (this word is reserved)" if token.text in _RESERVED else ""
            self.expected(f"a value{reserved}")
        if self.sees("("):
            return self.call(None, token)
        return Name(token.start, token.end, token.text, rooted)

    def list_of(self, opening: Token) -> Node:
        items: list[Node] = []
        while not self.sees("]"):
            items.append(self.expression())
            if not self.accept(","):
                break
        return ListOf(opening.start, self.close("]", opening).end, tuple(items))

    def map_of(self, opening: Token) -> Node:
        entries = []
        while not self.sees("}"):
            key = self.expression()
            if not self.accept(":"):
                self.expected("':' and a value after the key")
            entries.append((key, self.expression()))
            if not self.accept(","):
                break
        return MapOf(opening.start, self.close("}", opening).end, tuple(entries))
