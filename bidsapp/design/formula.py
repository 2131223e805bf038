"""Wilkinson formulas as R writes them: the grammar.

Nothing of a formula is handed to an evaluator: it holds names, whole numbers, texts of levels and the
functions of ``FUNCTIONS``, and whatever else is in it ends the reading with a ModelError.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import NoReturn, TypeAlias

from bidsapp.errors import ModelError, did_you_mean

FUNCTIONS = ("C", "poly", "scale", "center", "log", "I")
CODINGS = ("Treatment", "Sum")
RESPONSE = "effect"
# a*b*c*d*e*f has 63, and nobody writes more; products multiply them.
MAX_TERMS = 64
MAX_DEGREE = 9
# Deeper nesting would end Python's recursion.
MAX_NESTING = 20
NAME = re.compile(r"[^\W\d][\w.]*")
TOKEN = re.compile(
    rf"(?P<quoted>`[^`]+`)|(?P<name>{NAME.pattern})|(?P<number>\d+)(?![\w.])"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<sign>\*\*|[-~+:*/^()\[\],=])",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Atom:
    """A variable of a formula, or a function of one.

    Attributes
    ----------
    variable : str
    function : str
        One of ``FUNCTIONS``; empty for the variable itself.
    degree : int
        Of ``poly`` and of the power in ``I``.
    coding : {"Treatment", "Sum"}
    reference : str or None
        The level that ``Treatment`` compares with; None for the first.
    levels : tuple of str
        The levels of ``C`` in their order; empty for sorted order.
    """

    variable: str
    function: str = ""
    degree: int = 1
    coding: str = "Treatment"
    reference: str | None = None
    levels: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What columns call it: without backticks and codings."""
        match self.function:
            case "":
                return self.variable
            case "poly":
                return f"poly({self.variable}, {self.degree})"
            case "I":
                return f"I({self.variable} ** {self.degree})"
        return f"{self.function}({self.variable})"

    @property
    def text(self) -> str:
        """The atom as a formula writes it."""
        plain = NAME.fullmatch(self.variable) and self.variable not in FUNCTIONS
        inside = replace(self, variable=self.variable if plain else f"`{self.variable}`")
        if self.function != "C":
            return inside.label
        arguments = [inside.variable]
        if self.coding == "Sum":
            arguments.append("Sum")
        elif self.reference is not None:
            arguments.append(f"Treatment({_quote(self.reference)})")
        if self.levels:
            arguments.append(f"levels=[{', '.join(map(_quote, self.levels))}]")
        return f"C({', '.join(arguments)})"


# A product of atoms; the empty one is the intercept.
Term: TypeAlias = tuple[Atom, ...]
_Terms: TypeAlias = dict[frozenset[Atom], Term]


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that has been read.

    Attributes
    ----------
    text : str
    terms : tuple of tuple of Atom
        Those with fewer atoms first.
    spans : tuple of (int, int, Atom)
        Where in the text each atom stands.
    begin : int
        Where the right side begins.
    says_intercept : bool
        Whether 0 or 1 stands in it.
    """

    text: str
    terms: tuple[Term, ...]
    spans: tuple[tuple[int, int, Atom], ...]
    begin: int
    says_intercept: bool

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """All atoms, each once, in the order of the text."""
        return tuple(dict.fromkeys(atom for _, _, atom in self.spans))

    def rewrite(self, change: Callable[[Atom], Atom]) -> str:
        """Return the right side with other atoms, and with an intercept that is said."""
        parts, end = [], self.begin
        for start, stop, atom in self.spans:
            changed = change(atom)
            parts += [self.text[end:start], self.text[start:stop] if changed == atom else changed.text]
            end = stop
        right = "".join([*parts, self.text[end:]]).strip()
        return right if self.says_intercept else f"1 + {right}"


def parse_formula(text: str) -> Formula:
    """Read a formula: the right side, or ``~`` or ``effect ~`` and the right side.

    Raises
    ------
    ModelError
        Not of the grammar.
    """
    parser = _Parser(text)
    parser.skip_response()
    begin = parser.begin
    terms = parser.read_sum(top=True)
    parser.expect_end()
    ordered = sorted(terms.values(), key=len)
    return Formula(text, tuple(ordered), tuple(parser.spans), begin, parser.says_intercept)


def formula_words(text: str) -> list[str]:
    """Return the variables of a formula, each once."""
    return list(dict.fromkeys(atom.variable for atom in parse_formula(text).atoms))


def in_formula(text: str) -> str:
    """Return the beginning of a message on a formula."""
    return f"in the formula {text!r:.100}"


class _Parser:
    """Reads a formula from left to right; each method reads what binds tighter than its caller's."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: list[tuple[int, int, Atom]] = []
        self.says_intercept = False
        self._tokens = self._split()
        self._place = 0
        self._depth = 0

    def skip_response(self) -> None:
        """Read ``~`` or ``effect ~``, if it is there."""
        signs = [token[1] for token in self._tokens]
        if "~" not in signs:
            return
        left = signs[: signs.index("~")]
        if left and left != [RESPONSE]:
            self._fail(
                f"left of ~ stands nothing, or {RESPONSE}: what is modelled are the effects of the inputs"
            )
        self._place = len(left) + 1

    @property
    def begin(self) -> int:
        """Where the next token begins."""
        return self._tokens[self._place][2] if self._place < len(self._tokens) else len(self.text)

    def expect_end(self) -> None:
        """Fail where there is more."""
        if self._place < len(self._tokens):
            self._fail(f"{self._next()!r} is not expected there")

    def read_sum(self, *, top: bool = False) -> _Terms:
        """Read terms with + and - between them."""
        terms: _Terms = {frozenset(): ()} if top else {}
        first = True
        while first or self._next() in ("+", "-"):
            adds = True
            while self._next() in ("+", "-"):
                adds ^= self._take() == "-"
            if self._next() == "0":
                self._take()
                self.says_intercept, adds, part = True, not adds, _Terms({frozenset(): ()})
            else:
                part = self._read_product()
            if not adds and frozenset() in part and not top:
                self._fail("the intercept is taken out (0, - 1) outside of parentheses")
            for key, term in part.items():
                if adds:
                    terms.setdefault(key, term)
                else:
                    terms.pop(key, None)
            first = False
        return self._checked(terms)

    def _read_product(self) -> _Terms:
        """Read * (both and their interaction) and / (the first, and the second within it)."""
        left = self._read_interaction()
        while self._next() in ("*", "/"):
            is_nested = self._take() == "/"
            right = self._read_interaction()
            if is_nested:
                outer = _cross(*({key: term} for key, term in left.items()))
                left = _join(left, self._checked(_cross(outer, right)))
            else:
                left = _join(left, right, self._checked(_cross(left, right)))
        return left

    def _read_interaction(self) -> _Terms:
        left = self._read_power()
        while self._next() == ":":
            self._take()
            left = self._checked(_cross(left, self._read_power()))
        return left

    def _read_power(self) -> _Terms:
        base = self._read_operand()
        if self._next() not in ("**", "^"):
            return base
        self._take()
        made = base
        for _ in range(self._read_degree() - 1):
            made = _join(made, self._checked(_cross(made, base)))
        return made

    def _read_operand(self) -> _Terms:
        start = self.begin
        kind, word = self._kind(), self._take()
        if word == "(":
            self._depth += 1
            if self._depth > MAX_NESTING:
                self._fail("it has too many parentheses")
            inside = self.read_sum()
            self._expect(")")
            self._depth -= 1
            return inside
        if word == "1" and kind == "number":
            self.says_intercept = True
            return {frozenset(): ()}
        if kind == "name" and self._next() == "(":
            self._take()
            atom = self._read_call(word)
        elif kind in ("name", "quoted"):
            atom = Atom(_unquote(word))
        else:
            self._fail(f"{word!r} is not expected there" if word else "something is missing at the end")
        self._note(start, atom)
        return {frozenset([atom]): (atom,)}

    def _read_call(self, word: str) -> Atom:
        if word not in FUNCTIONS:
            known = ", ".join(f"{name}()" for name in FUNCTIONS)
            self._fail(f"{word!r} is no function here; {did_you_mean(word, FUNCTIONS, f'there are {known}')}")
        if self._kind() not in ("name", "quoted"):
            self._fail(f"{word}() takes the name of a column, not {self._next()!r}")
        atom = Atom(_unquote(self._take()), word)
        if word == "poly":
            self._expect(",")
            atom = replace(atom, degree=self._read_degree())
        elif word == "I":
            if self._take() not in ("**", "^"):
                self._fail("I() takes a power of a column, such as I(age ** 2)")
            atom = replace(atom, degree=self._read_degree())
        while word == "C" and self._next() == ",":
            self._take()
            atom = self._read_coding(atom)
        self._expect(")")
        return atom

    def _read_coding(self, atom: Atom) -> Atom:
        """Read what follows the column in C(): a coding, or levels in their order."""
        word = self._take()
        if word == "levels":
            self._expect("=")
            self._expect("[")
            levels = [self._read_level()]
            while self._next() == ",":
                self._take()
                levels.append(self._read_level())
            self._expect("]")
            if len(set(levels)) < len(levels):
                self._fail(f"a level of {atom.variable!r} is there twice")
            return replace(atom, levels=tuple(levels))
        if word not in CODINGS:
            self._fail(
                f'C() takes Sum, Treatment("level") and levels=["a", "b"] after its column, not {word!r}'
            )
        reference = None
        if word == "Treatment" and self._next() == "(":
            self._take()
            if self._next() == "reference":
                self._take()
                self._expect("=")
            reference = self._read_level()
            self._expect(")")
        return replace(atom, coding=word, reference=reference)

    def _read_level(self) -> str:
        if self._kind() not in ("text", "number"):
            self._fail(f"a level stands in quotes, not as {self._next()!r}")
        return _unquote(self._take())

    def _read_degree(self) -> int:
        word = self._next()
        if self._kind() != "number" or not 1 <= int(word) <= MAX_DEGREE:
            self._fail(f"a power is a whole number from 1 to {MAX_DEGREE}, not {word!r}")
        return int(self._take())

    def _note(self, start: int, atom: Atom) -> None:
        """Keep an atom and where it stands; refuse a second coding of a column."""
        for _, _, other in self.spans:
            if other.label == atom.label and other != atom:
                self._fail(f"{atom.label} is coded in two ways, {other.text} and {atom.text}. Keep one")
        self.spans.append((start, self._tokens[self._place - 1][3], atom))

    def _split(self) -> list[tuple[str, str, int, int]]:
        """Return the tokens: kind, text, first and last place."""
        tokens, place = [], 0
        while place < len(self.text):
            if self.text[place].isspace():
                place += 1
                continue
            match = TOKEN.match(self.text, place)
            if match is None or match.lastgroup is None:
                word = re.match(r"\S{1,20}", self.text[place:])
                self._fail(f"{word[0] if word else ''!r} is not of the grammar")
            tokens.append((match.lastgroup, match[0], place, match.end()))
            place = match.end()
        return tokens

    def _kind(self) -> str:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else ""

    def _next(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        word = self._next()
        self._place += 1
        return word

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            self._fail(
                f"{sign!r} is expected" + (f" before {self._next()!r}" if self._next() else " at the end")
            )
        self._take()

    def _checked(self, terms: _Terms) -> _Terms:
        if len(terms) > MAX_TERMS:
            self._fail(f"there are more than {MAX_TERMS} terms; it has too many products")
        return terms

    def _fail(self, why: str) -> NoReturn:
        raise ModelError(
            f"{in_formula(self.text)}: {why}. A formula is made of names (with blanks in backticks), 0, 1, "
            f"+ - : * / ** ( ), {', '.join(f'{name}()' for name in FUNCTIONS)}."
        )


def _join(*sums: _Terms) -> _Terms:
    """Return the terms of all, each as it stands first."""
    made: _Terms = {}
    for terms in sums:
        for key, term in terms.items():
            made.setdefault(key, term)
    return made


def _cross(*factors: _Terms) -> _Terms:
    """Return the interactions of every term of each with every term of the others."""
    made: _Terms = {frozenset(): ()}
    for terms in factors:
        pairs = product(made.items(), terms.items())
        made = _join(
            *({key | other: tuple(dict.fromkeys(term + more))} for (key, term), (other, more) in pairs)
        )
    return made


def _quote(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def _unquote(word: str) -> str:
    if word[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
    return word.strip("`")
