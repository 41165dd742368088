#!/usr/bin/env python3
"""Writes docs/man/weir.yaml.5 and docs/reference/configuration.md from keys.yaml and text.yaml beside this file."""

import pathlib
import re
import sys
import textwrap

import yaml

HERE = pathlib.Path(__file__).resolve().parent
MANUAL = HERE.parent / "man" / "weir.yaml.5"
PAGE = HERE / "configuration.md"
NOTE = "Generated from docs/reference/keys.yaml and text.yaml by ./dev reference; do not edit."


def sections():
    return yaml.safe_load((HERE / "keys.yaml").read_text())


def blocks(text):
    """Paragraphs, items, terms and literal lines of a text, as (kind, content)."""
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("    "):
            yield "literal", line[4:]
        elif line.startswith("- "):
            yield "item", line[2:]
        elif " :: " in line:
            yield "term", tuple(line.split(" :: ", 1))
        elif line.strip():
            yield "text", line


def facts(key, since):
    """The line below a key: type, values, default, release."""
    parts = [key["type"] + (" (%s)" % key["values"] if "values" in key else "")]
    default = re.sub(r"^\((.*)\)$", r"\1", key["default"])
    parts.append("required" if default == "required" else "default: " + default)
    parts.append("since " + key.get("since", since))
    return parts


# --- the manual page ---------------------------------------------------------------------------------


def roff(text):
    """Text for mdoc: backslashes escaped, `code` in bold, each sentence and each 76 columns a new line."""
    text = text.replace("\\", "\\e")
    text = re.sub("`([^`]*)`", lambda match: "\\fB" + match[1].replace(" ", "\\ ") + "\\fP", text)
    lines = []
    for sentence in re.split(r"(?<=[.:?])\s+(?=[A-Z\\(])", " ".join(text.split())):
        lines += textwrap.wrap(sentence, 76, break_long_words=False, break_on_hyphens=False)
    return [("\\&" + line if line[:1] in ".'" else line) for line in lines]


def manual_text(text):
    lines, inside = [], None
    ends = {"item": ".El", "term": ".El", "literal": ".Ed"}
    begins = {"item": ".Bl -bullet -compact", "term": ".Bl -tag -width Ds -compact", "literal": ".Bd -literal"}
    for kind, content in blocks(text):
        if inside in ends and kind != inside:
            lines.append(ends[inside])
        if kind in begins and kind != inside:
            lines.append(begins[kind])
        if kind == "literal":
            lines.append(content.replace("\\", "\\e"))
        elif kind == "item":
            lines += [".It", *roff(content)]
        elif kind == "term":
            lines += [".It " + " ".join(roff(content[0])), *roff(content[1])]
        else:
            lines += ([".Pp"] if inside is not None else []) + roff(content)
        inside = kind
    return lines + ([ends[inside]] if inside in ends else [])


def manual(reference, text):
    lines = ['.\\" ' + NOTE, ".Dd December 1, 2026", ".Dt WEIR.YAML 5", ".Os", ".Sh NAME", ".Nm weir.yaml", ".Nd configuration of the traffic router weir"]
    for section in text["before"]:
        lines += [".Sh " + section["title"].upper(), *manual_text(section["text"])]
    for section in reference["sections"]:
        lines.append(".Sh " + section["title"].upper())
        lines += [".Sy " + (section["at"] or "(top level)")] if section["at"] else []
        if "text" in section:
            lines += [".Pp"] * bool(section["at"]) + manual_text(section["text"])
        lines.append(".Bl -tag -width Ds")
        for name, key in section["keys"].items():
            type_, *rest = facts(key, reference["since"])
            lines.append(".It Sy " + name)
            lines += roff("; ".join([type_, *rest]))
            lines.append(".br")
            for count, paragraph in enumerate(key["text"].strip().split("\n")):
                lines += [".Pp"] * (count > 0) + roff(paragraph)
            if "see" in key:
                lines.append(".br\nSee\n.Sx " + key["see"].upper() + " .")
            lines += [".Bd -literal -offset indent -compact", *key["example"].replace("\\", "\\e").split("\n"), ".Ed"]
        lines.append(".El")
    for section in text["after"]:
        lines += [".Sh " + section["title"].upper(), *manual_text(section["text"])]
    return "\n".join(lines + [".Sh SEE ALSO", ".Xr weir 1", ""])


# --- the page in Markdown ----------------------------------------------------------------------------


def anchor(title):
    return re.sub("[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")


def wrapped(text):
    return textwrap.fill(" ".join(text.split()), 110, break_long_words=False, break_on_hyphens=False)


def page_text(text):
    lines, inside = [], None
    for kind, content in blocks(text):
        if kind == "literal":
            lines += [("```yaml" if inside != "literal" else None), content]
        else:
            lines += ["```", ""] if inside == "literal" else []
            if kind == "item":
                lines.append("* " + wrapped(content).replace("\n", "\n  "))
            elif kind == "term":
                lines.append("* " + wrapped("**%s**: %s" % content).replace("\n", "\n  "))
            else:
                lines += ([""] if inside in ("item", "term") else []) + [wrapped(content)]
        if kind in ("text",):
            lines.append("")
        inside = kind
    lines = [line for line in lines if line is not None]
    return lines + (["```"] if inside == "literal" else []) + ([""] if inside != "text" else [])


def page(reference, text):
    titles = [section["title"] for section in text["before"] + reference["sections"] + text["after"]]
    lines = ["<!-- %s -->" % NOTE, "# weir.yaml", "", "The same as the manual page `weir.yaml(5)`.", ""]
    lines += ["%s[%s](#%s)" % ("* ", title, anchor(title)) for title in titles] + [""]
    for section in text["before"]:
        lines += ["## " + section["title"], "", *page_text(section["text"])]
    for section in reference["sections"]:
        lines += ["## " + section["title"], ""]
        if section["at"]:
            lines += ["`%s`" % section["at"], ""]
        if "text" in section:
            lines += page_text(section["text"])
        lines += ["| key | type | default |", "| --- | --- | --- |"]
        for name, key in section["keys"].items():
            type_, default, _ = facts(key, reference["since"])
            lines.append("| [`%s`](#%s) | %s | %s |" % (name, anchor(section["title"] + " " + name), type_, default.replace("default: ", "")))
        lines.append("")
        for name, key in section["keys"].items():
            lines += ['<a id="%s"></a>' % anchor(section["title"] + " " + name), "### `%s`" % name, "", wrapped("; ".join(facts(key, reference["since"])) + "."), ""]
            for paragraph in key["text"].strip().split("\n"):
                lines += [wrapped(paragraph), ""]
            if "see" in key:
                lines += ["See [%s](#%s)." % (key["see"], anchor(key["see"])), ""]
            lines += ["```yaml", *key["example"].split("\n"), "```", ""]
    for section in text["after"]:
        lines += ["## " + section["title"], "", *page_text(section["text"])]
    return "\n".join(lines).rstrip("\n") + "\n"


def outputs():
    """The text of each generated file, by its path."""
    reference, text = sections(), yaml.safe_load((HERE / "text.yaml").read_text())
    return {MANUAL: manual(reference, text), PAGE: page(reference, text)}


if __name__ == "__main__":
    for path, content in outputs().items():
        path.write_text(content)
        print(path, file=sys.stderr)
