"""A hook of MkDocs: writes the reference from the docstrings, where a page says `<!-- reference: MODULE NAME ... -->`.

Docstrings here are plain text with examples as of a Python prompt. Each becomes a heading with the signature, its
paragraphs, and its examples as code. Without names: everything in `__all__` of the module.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)]*)\)")
MARK = re.compile(r"<!-- reference: (\S+)((?: \S+)*) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks of a page, and links out of the documentation, which has only its own pages."""
    markdown = OUTSIDE.sub(r"\1 (`\2` in the sources)", markdown)
    return MARK.sub(lambda match: section(match[1], match[2].split()), markdown)


def section(module_name: str, names: list[str]) -> str:
    """The entries of some names of a module, all public ones if none is named."""
    module = importlib.import_module(module_name)
    short = "cx" + module_name.removeprefix("pyconvx")
    return "\n\n".join(entry(f"{short}.{name}", getattr(module, name)) for name in names or module.__all__)


def entry(name: str, thing: Any) -> str:
    """A heading, the signature if it is called, and the docstring."""
    doc = inspect.getdoc(thing) if callable(thing) else None
    if doc is None:
        kind = type(thing)
        about = inspect.getdoc(kind) if kind.__module__.startswith("pyconvx") else repr(thing)
        return f"### `{name}`\n\n{about_registry(thing) or body(about or '')}"
    parts = [f"### `{name}`", f"```python\n{signature(name, thing)}\n```", body(doc)]
    if inspect.isclass(thing):
        for member, function in sorted(vars(thing).items()):
            if inspect.isfunction(function) and not member.startswith("_") and function.__doc__:
                parts += [f"#### `{name.rpartition('.')[2]}.{member}`", body(inspect.getdoc(function) or "")]
    return "\n\n".join(parts)


def about_registry(thing: Any) -> str:
    """What a registry holds, in a line."""
    if hasattr(thing, "names") and hasattr(thing, "kind"):
        return f"The registry of every {thing.kind}: {', '.join(f'`{each}`' for each in thing.names())}."
    return ""


def signature(name: str, thing: Any) -> str:
    """As it is called, one argument to a line where it is long."""
    try:
        parameters = [re.sub(r"pyconvx\.[\w.]*\.|typing\.", "", str(each)) for each in _parameters(thing)]
    except (TypeError, ValueError):
        return f"{name}(...)"
    line = f"{name}({', '.join(parameters)})"
    return line if len(line) <= 90 else f"{name}(\n    " + ",\n    ".join(parameters) + ",\n)"


def _parameters(thing: Any) -> list[str]:
    found, told = list(inspect.signature(thing).parameters.values()), []
    starred = False
    for each in found:
        if each.kind is each.KEYWORD_ONLY and not starred:
            told.append("*")
            starred = True
        starred |= each.kind is each.VAR_POSITIONAL
        prefix = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        default = "" if each.default is each.empty else f"={each.default!r}"
        told.append(f"{prefix}{each.name}{default}")
        if each.kind is each.POSITIONAL_ONLY and (
            each is found[-1] or found[found.index(each) + 1].kind is not each.kind
        ):
            told.append("/")
    return told


def body(doc: str) -> str:
    """Paragraphs as they are; examples of a prompt as code; tables of arguments as lists."""
    blocks = re.split(r"\n\s*\n", doc.strip())
    told = []
    for block in blocks:
        if block.lstrip().startswith(">>>"):
            told.append(f"```pycon\n{textwrap.dedent(block)}\n```")
        elif re.match(r"-{3,}$", (block.splitlines()[1:2] or [""])[0].strip()):
            title, _, *rest = block.splitlines()
            told += [f"**{title.strip()}**", _arguments(rest)]
        else:
            told.append(textwrap.dedent(block).replace("<", "&lt;"))
    return "\n\n".join(told)


def _arguments(lines: list[str]) -> str:
    """Lines "name : what", with what follows indented, as a list."""
    told: list[str] = []
    for line in lines:
        match = re.match(r"^(\w[\w, *]*) : (.*)$", line)
        if match:
            told.append(f"- `{match[1]}`: {match[2]}")
        elif told and line.startswith(" "):
            told[-1] += f" {line.strip()}"
        else:
            told.append(line.strip())
    return "\n".join(told)
