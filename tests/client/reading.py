"""Reads Markdown as others do, and says what the HTML that comes out would do."""

from __future__ import annotations

import re
from collections.abc import Callable

import html5lib
import mistune
from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

PLUGINS = ("strikethrough", "footnotes", "table", "url", "task_lists", "def_list", "abbr", "mark", "insert")


def by_nbconvert(text: str) -> str:
    return str(MarkdownWithMath(renderer=IPythonRenderer(escape=False)).render(text))


_mistune = mistune.create_markdown(escape=False, plugins=list(PLUGINS))
_commonmark = MarkdownIt("commonmark")
_gfm = MarkdownIt("gfm-like", {"linkify": False, "html": True})
_myst = MarkdownIt("commonmark").enable("table").use(deflist_plugin).use(footnote_plugin)
_myst.use(dollarmath_plugin).use(amsmath_plugin)

READERS: dict[str, Callable[[str], str]] = {
    "nbconvert": by_nbconvert,
    "mistune": lambda text: str(_mistune(text)),
    "commonmark": lambda text: str(_commonmark.render(text)),
    "gfm": lambda text: str(_gfm.render(text)),
    "myst": lambda text: str(_myst.render(text)),
}

ELEMENTS = {
    "html", "head", "body", "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code",
    "em", "strong", "del", "s", "a", "hr", "br", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "sup",
    "sub", "section", "input", "div", "span", "img", "mark", "ins", "abbr", "eq", "eqn",
}  # fmt: skip
ATTRIBUTES = {
    "href", "class", "id", "start", "style", "title", "alt", "src", "type", "checked", "disabled", "align",
    "dir", "label",
}  # fmt: skip
# A link to an image that is in it shows the image, and nothing else.
_WEB = re.compile(r"(?:https?|mailto):|#|data:image/(?:png|jpeg|gif|webp);", re.IGNORECASE)
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);", re.IGNORECASE)
_STYLE = re.compile(r"text-align: ?(?:left|right|center);?")


def harms(html: str) -> list[str]:
    """Return what is in HTML that may run, load, or lead elsewhere than to the web."""
    found = []
    for node in html5lib.parse(html, namespaceHTMLElements=False).iter():
        if not isinstance(node.tag, str) or node.tag not in ELEMENTS:
            found.append(f"<{node.tag}>")
        if "mermaid" in node.get("class", ""):
            found.append("a diagram")
        for name, value in node.attrib.items():
            if not (
                name in ATTRIBUTES
                and (name != "href" or _WEB.match(value))
                and (name != "src" or _IMAGE.match(value))
                and (name != "style" or _STYLE.fullmatch(value))
                and (name != "type" or value == "checkbox")
            ):
                found.append(f"{node.tag} {name}={value!r}")
    return found
