"""The bodies of refused rows: sealed, one file a batch, written whole before anything names it.

A file is written beside its place, flushed to the disk and renamed, so a crash leaves either all of
it or none; the same batch again writes the same places.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from jinqiao.domain.ids import keyed_id
from jinqiao.domain.time import from_us
from jinqiao.errors import Unavailable

__all__ = ["Place", "blank_body", "read_body", "write_bodies"]

Place = tuple[str, int, int]
"""File below the rejects folder, offset, length."""


def write_bodies(
    folder: Path, batch: tuple[str, int], bodies: Sequence[bytes], seal: Callable[[bytes], bytes]
) -> list[Place]:
    """Return where each body lies; ``batch`` is (batch id, instant of arrival in µs)."""
    batch_id, now_us = batch
    name = f"{from_us(now_us):%Y-%m-%d}/{keyed_id('rej', batch_id)}.bin"
    sealed = [seal(body) for body in bodies]
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            file.write(b"".join(sealed))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"refused rows cannot be kept: {error}", record=str(path)) from error
    places, offset = [], 0
    for one in sealed:
        places.append((name, offset, len(one)))
        offset += len(one)
    return places


def read_body(folder: Path, place: Place) -> bytes:
    """Return the sealed bytes of one body; raise Unavailable when they are not all there."""
    name, offset, length = place
    try:
        with (folder / name).open("rb") as file:
            file.seek(offset)
            body = file.read(length)
    except OSError as error:
        raise Unavailable(f"a refused row cannot be read: {error}", record=name) from error
    if len(body) != length:
        raise Unavailable("a refused row is cut short", record=name)
    return body


def blank_body(folder: Path, place: Place) -> None:
    """Overwrite one body with zeros on the disk."""
    name, offset, length = place
    try:
        with (folder / name).open("r+b") as file:
            file.seek(offset)
            file.write(bytes(length))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(f"a refused row cannot be erased: {error}", record=name) from error


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
