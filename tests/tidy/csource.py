"""Just enough of C to measure it: text without comments and literals, and where functions are."""

import re
from typing import List, NamedTuple

TOKENS = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)"""
    r"""|(?P<literal>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
CONTROL = {"if", "for", "while", "switch", "do", "else", "return", "sizeof"}


class Function(NamedTuple):
    name: str
    line: int
    lines: int
    parameters: int
    nesting: int


def blank(text: str) -> str:
    """Spaces instead of text; the lines stay."""
    return re.sub(r"[^\n]", " ", text)


def code(text: str, literals: bool = False) -> str:
    """The text with comments blanked, and the insides of literals unless they are wanted."""
    def replace(match):
        token = match.group()
        if match.lastgroup == "comment":
            return blank(token)
        return token if literals else token[0] + blank(token[1:-1]) + token[-1]
    return TOKENS.sub(replace, text)


def comments(text: str) -> str:
    """Only the comments, each in its place."""
    out, at = [], 0
    for match in TOKENS.finditer(text):
        out.append(blank(text[at:match.start()]))
        token = match.group()
        out.append(token if match.lastgroup == "comment" else blank(token))
        at = match.end()
    return "".join(out) + blank(text[at:])


def matching(text: str, opening: int) -> int:
    """The place of the bracket that closes the one at `opening`."""
    pair = {"(": ")", "{": "}"}[text[opening]]
    depth = 0
    for i in range(opening, len(text)):
        depth += (text[i] == text[opening]) - (text[i] == pair)
        if depth == 0:
            return i
    return len(text) - 1


def parameters(inner: str) -> int:
    if inner.strip() in ("", "void"):
        return 0
    depth, commas = 0, 0
    for c in inner:
        depth += (c in "([{") - (c in ")]}")
        commas += c == "," and depth == 0
    return commas + 1


def nesting(body: str) -> int:
    """How deep control statements with braces stand in each other; initialisers don't count."""
    deepest, stack = 0, []
    for i, c in enumerate(body):
        if c == "{":
            before = body[:i].rstrip()
            stack.append(before.endswith((")", "else", "do", ":")))
            deepest = max(deepest, sum(stack))
        elif c == "}" and stack:
            stack.pop()
    return deepest


def functions(text: str) -> List[Function]:
    text = DIRECTIVE.sub(lambda m: blank(m.group()), code(text))
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)", lambda m: blank(m.group()), text)
    found, start, i = [], 0, 0
    while i < len(text):
        if text[i] in ";}":
            start = i + 1
        elif text[i] == "{":
            end = matching(text, i)
            head = re.search(r"(\w+)\s*\(", text[start:i])
            if head and head.group(1) not in CONTROL and text[start:i].rstrip().endswith(")"):
                opening = start + head.end() - 1
                first = text.count("\n", 0, len(text) - len(text[start:].lstrip())) + 1
                found.append(Function(
                    head.group(1), first, text.count("\n", 0, end) + 2 - first,
                    parameters(text[opening + 1:matching(text, opening)]),
                    nesting(text[i + 1:end])))
            i = end
            start = i + 1
        i += 1
    return found
