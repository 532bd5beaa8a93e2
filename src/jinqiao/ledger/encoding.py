"""A standard bill's bytes as text. The encoding is told from the bytes, not from what they claim.

Exports often name another encoding than they are in. Valid UTF-8 is UTF-8; bytes whose every
stretch beyond ASCII is pairs of GB 2312 are Chinese; the rest is what the file says, or Windows
Western, and what has no meaning there stays marked (U+FFFD).
"""

from __future__ import annotations

import codecs
import re

from jinqiao.errors import SchemaError

__all__ = ["MOST_BYTES", "beginning", "text_of", "xml_text"]

MOST_BYTES = 64 * 1024 * 1024
_BEYOND = re.compile(rb"[\x80-\xff]+")
_PAIRS = re.compile(rb"(?:[\xa1-\xa9\xb0-\xf7][\xa1-\xfe])+")
_FOUR = re.compile(rb"[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]")
_CHARSETS = re.compile(r"^(cp\d+|iso8859-\d+|big5|gb\w+|shift_jis|euc_\w+|koi8-\w)$")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_DECLARED = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w.:-]{1,40})[\"']")


def text_of(data: bytes, declared: str = "") -> str:
    """Return the text of bytes; ``declared`` is the single-byte encoding the file claims.

    >>> text_of("存款".encode("gb18030")), text_of("Straße".encode("latin-1"))
    ('存款', 'Straße')
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if all(_PAIRS.fullmatch(run) for run in _BEYOND.findall(_FOUR.sub(b"", data))):
        return data.decode("gb18030", "replace")
    return data.decode(_codec(declared) or "cp1252", "replace")


def beginning(data: bytes) -> bytes:
    """Return the first 64 KiB, UTF-16 as UTF-8 and without its mark, to tell the format by."""
    start = data[:65_536]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return start.decode("utf-16", "ignore").encode()
    return start.removeprefix(codecs.BOM_UTF8)


def xml_text(data: bytes, name: str) -> str:
    """Return the text of an XML file without its declaration.

    Raises SchemaError for bytes that are no text in the encoding declared.
    """
    declared = _DECLARED.search(data[:300])
    text = text_of(data, declared[1].decode("ascii") if declared else "")
    if "\ufffd" in text:
        raise SchemaError(
            "the file is not validly encoded", record=name, fix="export the bill again"
        )
    return _DECLARATION.sub("", text, count=1)


def _codec(declared: str) -> str:
    """Return the codec of a character set's name, "" where it is none that statements come in."""
    try:
        name = codecs.lookup(declared).name if declared else ""
    except LookupError:
        return ""
    return name if _CHARSETS.match(name) else ""
