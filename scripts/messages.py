# SPDX-License-Identifier: Apache-2.0
"""The catalogues of other languages: `scripts/messages.py update` after sentences have changed.

    scripts/messages.py update      puts every template of the program into each catalogue, marks
                                    those whose English has changed a little as fuzzy, compiles
    scripts/messages.py check       says what a catalogue lacks, and translations whose values
                                    are not those of the English; exit code 1 if there are any
    scripts/messages.py compile     a .mo beside each .po, which the program reads
    scripts/messages.py new CODE    catalogues for another language, to be filled in

There are two for each language: the engine's, and that of the programs in apps/, which are copied
without it. Templates are the literals in `say`, `term` and `number_of` (`hoplab/sentences.py`,
`apps/protocols/language.py`). They are read from the syntax tree: Babel's own extractor leaves out
what stands in an f-string, and a template among whose values another function is called.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import io
import os
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
# For each domain of gettext: whose sentences are in it, and where its catalogues are.
SOURCES = {"hoplab": ROOT / "hoplab", "apps": ROOT / "apps"}
LOCALES = {"hoplab": ROOT / "hoplab" / "locale", "apps": ROOT / "apps" / "protocols" / "locale"}
# A function, and how many of its first arguments are templates.
KEYWORDS = {"say": 1, "term": 1, "number_of": 2}
HEADER = "# SPDX-License-Identifier: Apache-2.0"
LONG_AGO = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def templates(domain: str) -> Catalog:
    """Every template of a domain, with the files where it stands."""
    catalog = Catalog(project="hoplab", charset="utf-8", fuzzy=False)
    for path in sorted(SOURCES[domain].rglob("*.py")):
        for message in templates_in(path.read_text(encoding="utf-8")):
            # Without line numbers: they would change with every edit elsewhere.
            catalog.add(message, None, [(str(path.relative_to(ROOT)), 0)])
    return catalog


def templates_in(source: str) -> Iterator[str | tuple[str, ...]]:
    """The templates of one file, in their order; those for one and for many as a pair."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        literals = call.args[: KEYWORDS.get(name, 0)]
        texts = [
            node.value
            for node in literals
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if texts and len(texts) == len(literals):
            yield texts[0] if len(texts) == 1 else tuple(texts)


def catalogue(code: str, domain: str) -> Path:
    """Where the catalogue of a language is."""
    return LOCALES[domain] / code / "LC_MESSAGES" / f"{domain}.po"


def catalogues() -> list[Path]:
    """The catalogues of each language; the stem of such a file is its domain."""
    return [
        path
        for domain, folder in LOCALES.items()
        for path in sorted(folder.glob(f"*/LC_MESSAGES/{domain}.po"))
    ]


def read(path: Path) -> Catalog:
    """A catalogue from its file."""
    with open(path, encoding="utf-8") as file:
        return read_po(file, locale=path.parts[-3])


def write(path: Path, catalog: Catalog) -> None:
    """A catalogue to its file, the same bytes for the same content."""
    catalog.header_comment, catalog.project, catalog.fuzzy = HEADER, "hoplab", False
    # The dates of tools would make every update a change.
    catalog.creation_date = catalog.revision_date = LONG_AGO
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    write_po(out, catalog, width=0, sort_by_file=True, ignore_obsolete=True, include_lineno=False)
    # Which Babel it was says nothing about the content.
    lines = [line for line in out.getvalue().splitlines(True) if b"Generated-By" not in line]
    path.write_bytes(b"".join(lines))


def compile_all() -> None:
    """What the program reads."""
    for path in catalogues():
        # Put in place as a whole: somebody may read it at this moment.
        fresh = path.with_suffix(f".{os.getpid()}.new")
        with open(fresh, "wb") as file:
            write_mo(file, read(path))
        os.replace(fresh, path.with_suffix(".mo"))


def update() -> None:
    """Every template into every catalogue."""
    current = {domain: templates(domain) for domain in SOURCES}
    for path in catalogues():
        catalog = read(path)
        catalog.update(current[path.stem], update_header_comment=False)
        write(path, catalog)
    compile_all()


def fields(template: str) -> set[str]:
    """The names of the values in a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def faults(current: Catalog, catalog: Catalog) -> Iterator[str]:
    """What is missing or wrong in a catalogue, a sentence each."""
    for message in current:
        if not message.id:
            continue
        held = catalog.get(message.id)
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = () if held is None else _strings(held)
        if not strings or not all(strings):
            yield f"no translation: {ids[0]!r}"
            continue
        if held is not None and held.fuzzy:
            yield f"fuzzy, to be looked at: {ids[0]!r}"
        names = {name for english in ids for name in fields(str(english))}
        for translated in strings:
            try:
                used = fields(translated)
            except ValueError as error:
                yield f"braces do not pair ({error}): {translated!r}"
                continue
            # A number that English words need twice, once or never, is free: {n} may be left out.
            if used - names or names - used - {"n"}:
                yield f"the values differ: {ids[0]!r} and {translated!r}"
    for message in catalog:
        if message.id and current.get(message.id) is None:
            yield f"nothing says this any more: {message.id!r}"


def _strings(message: Message) -> tuple[str, ...]:
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    return tuple(str(text or "") for text in strings)


def check() -> int:
    """Prints all faults; 1 if there are any."""
    current = {domain: templates(domain) for domain in SOURCES}
    code = 0
    for path in catalogues():
        for fault in faults(current[path.stem], read(path)):
            print(f"{path.relative_to(ROOT)}: {fault}")
            code = 1
    return code


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("update", "check", "compile", "new"))
    parser.add_argument("code", nargs="?", help="of the language, for `new`: de, fr, pt_BR")
    arguments = parser.parse_args()
    if arguments.action == "check":
        return check()
    if arguments.action == "compile":
        compile_all()
        return 0
    if arguments.action == "new":
        if not arguments.code:
            parser.error("new needs the code of a language, as in: scripts/messages.py new de")
        missing = [
            path for domain in LOCALES if not (path := catalogue(arguments.code, domain)).exists()
        ]
        if not missing:
            parser.error(f"{catalogue(arguments.code, 'hoplab')} exists")
        for path in missing:
            write(path, Catalog(locale=arguments.code, project="hoplab", fuzzy=False))
    update()
    return 0


if __name__ == "__main__":
    sys.exit(main())
