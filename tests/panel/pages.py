"""Reading a page as a browser does: its elements, its rows, what a person reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_EMPTY = {"meta", "link", "input", "br", "hr", "img"}
_INLINE = {"a", "time", "code", "strong", "span"}
_UNSEEN = {"script", "datalist", "title"}


@dataclass
class Element:
    """An element of a page, with its text and that of all below it."""

    tag: str
    attributes: dict[str, str]
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a person reads in it, with single blanks."""
        return " ".join("".join(self.pieces).split())

    def get(self, name: str) -> str:
        """An attribute, or nothing."""
        return self.attributes.get(name, "")


class Page(HTMLParser):
    """All elements of a page, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in _EMPTY:
            self._open.append(element)
            self.handle_data("" if tag in _INLINE else " ")

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass
        self.handle_data("" if tag in _INLINE else " ")

    def handle_data(self, data: str) -> None:
        if not any(element.tag in _UNSEEN for element in self._open):
            for element in self._open:
                element.pieces.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a kind with these attributes; `class_` and `data_x` are possible."""
        wanted = {name.rstrip("_").replace("_", "-"): text for name, text in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(element.attributes.get(name) == text for name, text in wanted.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only element of a kind with these attributes."""
        [found] = self.all(tag, **attributes)
        return found

    @property
    def main(self) -> str:
        """What a person reads in the page, without its frame."""
        return self.one("main").text

    @property
    def token(self) -> str:
        """What a form of this page sends to prove that it is ours."""
        return self.all("input", name="csrf_token")[0].get("value")

    @property
    def links(self) -> dict[str, str]:
        """The addresses of the links by what a person reads."""
        return {link.text: link.get("href") for link in self.all("a")}

    def section(self, heading: str) -> str:
        """What a person reads in the section below a heading."""
        found = [
            section
            for section in self.all("section")
            if re.match(rf"{re.escape(heading)}\b", section.text)
        ]
        return found[0].text.removeprefix(heading).strip()

    @property
    def ids(self) -> list[str]:
        """The jobs that have a row, in order."""
        rows = [element.get("id") for element in self.all("tr")]
        return [row.removeprefix("row-") for row in rows if row.startswith("row-")]


def page_of(answer: Any) -> Page:
    """The page in an answer."""
    return Page(answer.text)


def cells(html: str) -> dict[str, str]:
    """What a person reads in the first row of jobs, by the head of each column."""
    row = html.partition('<tr id="row-')[2].partition("</tr>")[0]
    return {cell.get("data-head"): cell.text for cell in Page(f"<tr {row}").all("td")}
