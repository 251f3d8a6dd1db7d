"""Manual pages, in mdoc(7), of the command table (`wharf help --json`) and of prose with `code` in it."""

import re
import textwrap

# A line that begins with one of these would be a request, and not text.
CONTROL = (".", "'")
CLOSING = ".,:;)]?!"
# mdoc would take these words as its macros where they stand on a macro's line.
MACRO = re.compile(r"%?[A-Z][A-Za-z][a-z]?$")
SENTENCE = re.compile(r"(?<=[A-Za-z0-9)\]}\"*'/`][.?!]) +(?=[A-Z`$/\-<(\"])|(?<=[a-z)][:;]) +(?=[A-Z])")


def escape(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def line(text):
    """A line of running text."""
    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![\w])-(?=-?\w)", r"\\-", text)  # options; what joins words stays a hyphen
    return "\\&" + text if text.startswith(CONTROL) else text


def word(text):
    """One argument of a macro. Whatever it is, it stands for itself."""
    text = escape(text)
    if MACRO.match(text) or text in CLOSING or text in ("(", "[", "|") or text.startswith(CONTROL):
        text = "\\&" + text
    return '"%s"' % text.replace('"', "\\(dq") if re.search(r'[\s"]', text) or not text else text


def code(before, text, behind):
    """A macro line for `text`, with what touches it on both sides."""
    out = [".No %s Ns" % word(before), "Ql"] if before else [".Ql"]
    out.append(word(text))
    if behind and all(c in CLOSING for c in behind):
        out += list(behind)
    elif behind:
        # Punctuation at its end begins no sentence: it would be an argument of its own.
        out += ["Ns No", word(behind)]
    return " ".join(out)


def sentence(text):
    """Lines for one sentence, its `code` marked."""
    pieces = re.split(r"(\S*?`[^`]+`[^\s`]*)", text)
    lines = []
    for piece in pieces:
        marked = re.fullmatch(r"(\S*?)`([^`]+)`([^\s`]*)", piece)
        if marked:
            lines.append(code(*marked.groups()))
        elif piece.strip():
            lines += [line(x) for x in textwrap.wrap(piece.strip(), 76, break_long_words=False, break_on_hyphens=False)]
    return lines


def prose(text):
    """Paragraphs, parted by empty lines; a paragraph of lines that are set in stays as it is."""
    out = []
    for paragraph in re.split(r"\n\n+", text.strip("\n")):
        if out:
            out.append(".Pp")
        for part in SENTENCE.split(" ".join(paragraph.split())):
            out += sentence(part)
    return out


def whole(clause):
    """As a sentence."""
    return clause[0].upper() + clause[1:] + ("" if clause.endswith("?") else ".")


def section(name, lines):
    return [".Sh %s" % name, *lines] if lines else []


def listed(items, kind="-tag -width Ds"):
    """items: (head of macros, lines)."""
    out = [".Bl %s" % kind]
    for head, lines in items:
        out += [".It %s" % head, *lines]
    return [*out, ".El"]


def option_head(o):
    letter = "Fl %s , " % o["letter"] if o["letter"] else ""
    value = " Ar %s" % word(o["value"]) if o["value"] else ""
    return "%sFl \\-%s%s" % (letter, escape(o["name"]), value)


def option_help(o):
    text = o["help"]
    text += " May be given more than once." if o["repeats"] else ""
    text += " Also read from `$%s`." % o["environment"] if o["environment"] else ""
    return prose(text)


def synopsis(c):
    out = [".Nm wharf", ".Cm %s" % escape(c["name"])]
    for o in c["options"]:
        if o["name"] != "help":
            value = " Ar %s" % word(o["value"]) if o["value"] else ""
            value += " ..." if o["repeats"] else ""
            out.append("%s Fl \\-%s%s" % ("." if o["required"] else ".Op", escape(o["name"]), value))
    out = [re.sub(r"^\. ", ".", x) for x in out]
    if c["operand"]:
        out.append("%s %s" % (".Ar" if c["operands_min"] else ".Op Ar", word(c["operand"])))
    return out


def statuses(rows, more):
    out = listed([(str(number), prose(whole(text))) for number, text in rows])
    return out + ([".Pp", *prose(more)] if more else [])


def examples(rows):
    return listed([("Ic %s" % word(e["command"]), prose(whole(e["what"]))) for e in rows]) if rows else []


def environment(c):
    known = {"WHARF_URL": "Where the daemon is, without `--url`.", "WHARF_KEY": "The API key, without `--key`."}
    return [("Ev %s" % o["environment"], prose(known.get(o["environment"], "The same as `--%s`." % o["name"])))
            for o in c["options"] if o["environment"]]


def head(title, number, date):
    return [".Dd %s" % date, ".Dt %s %s" % (title.upper(), number), ".Os"]


def command_page(c, date, see_also):
    """wharf-COMMAND.1"""
    page = "wharf-" + c["name"]
    variables = environment(c)
    out = ['.\\" Made by tools/gen-docs from the command table in src/cli.', *head(page, 1, date),
           *section("NAME", [".Nm %s" % page, ".Nd %s" % line(c["summary"])]),
           *section("SYNOPSIS", synopsis(c)), *section("DESCRIPTION", prose(c["description"])),
           ".Pp", "The options are:", *listed([(option_head(o), option_help(o)) for o in c["options"]]),
           *section("ENVIRONMENT", listed(variables) if variables else []),
           *section("EXIT STATUS", statuses(c["statuses"], c["statuses_more"])),
           *section("EXAMPLES", examples(c["examples"])),
           *section("SEE ALSO", references(see_also))]
    return "\n".join(out) + "\n"


def references(pages):
    """pages: (name, section)."""
    rows = sorted(pages, key=lambda p: (p[1], p[0]))
    return [".Xr %s %s%s" % (name, number, " ," if i + 1 < len(rows) else "")
            for i, (name, number) in enumerate(rows)]


def command_list(commands):
    return listed([("Xr wharf-%s 1" % c["name"], prose(whole(c["summary"])))
                   for c in commands])
