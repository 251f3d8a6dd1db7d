"""Where wharf answers otherwise than llama-swap, on purpose: each with the heading of
docs/llama-swap.md that says why. What the suite finds and is not here is a mistake of one of them."""

import re
from typing import NamedTuple


class Known(NamedTuple):
    heading: str
    cases: list
    places: str  # an expression that matches the whole of a finding's place


ERROR = r"\d json /error/(code|message|llama_swap_code|retry_after)"
LISTS = ["models", "models, the other path", "models for a browser", "loaded in the list"]

KNOWN = [
    Known("error-words",
          ["unknown model", "unknown model, either", "no model", "an empty model", "no JSON",
           "unload what there is not", "no such profile", "a profile without a name",
           "upstream of nobody", "upstream that loads nothing", "a model that fails to load",
           "a model that fails to load, again", "logs of nobody", "activity that cannot be",
           "captures that cannot be", "a request that is not there", "no key", "a wrong key"], ERROR),
    Known("error-words", ["unknown model, as text", "unknown model, as a page"], r"\d text "),
    Known("no-model-400", ["no model", "an empty model", "no JSON"], r"\d status"),
    Known("json-404", ["unknown path", "wrong method"], r"\d (kind|header Content-Type)"),
    Known("json-if-accepted", ["unknown model, either"], r"\d (kind|header Content-Type)"),
    Known("anthropic-errors", ["unknown model of Anthropic's"], r"\d json /(type|error/.*)"),
    Known("json-by-its-first-byte", ["no content type"], r"\d .*"),
    Known("two-models", ["two models"], r"\d .*"),
    Known("load-failed-502", ["a model that fails to load"],
          r"\d (status|header Retry-After|json /error/type)"),
    Known("load-pauses", ["a model that fails to load, again"],
          r"\d (status|header Retry-After|json /error/type)"),
    Known("set-params-aliases", LISTS, r"\d json /data/\d+/meta/llamaswap/aliases"),
    Known("keys-stay-here", ["a key upstream"], r"\d json /headers/authorization"),
    Known("accept-encoding",
          ["a body as it came", "another name upstream", "filters", "filters by id",
           "a form in the query", "headers of a client", "encodings that a client accepts",
           "upstream", "upstream by an alias", "a key upstream"],
          r"\d json /headers/accept-encoding"),
    Known("forms-keep-their-parts", ["another name in a form"], r"\d json /body_bytes"),
    Known("cors-on-answers", ["an answer for a browser"], r"\d header Access-Control-Allow-Origin"),
    Known("other-pages", ["the first page", "an icon"], r"\d (status|kind|header .*)"),
    Known("unknown-log-404", ["logs of nobody"], r"\d status"),
]


def explains(finding):
    """The differences that a finding is one of."""
    return [k for k in KNOWN
            if finding.case in k.cases and re.fullmatch(k.places, finding.place)]
