"""Read stdin as a prompt, or as a part of one, and note on stderr while hfcli waits for it.

A prompt alone never waits for long. With a typed prompt, stdin is read

- from a pipe, a FIFO or a socket, if data or its end comes within `PATIENCE` seconds,
- from a file that nothing has been read from: in `while read x; do hfcli generate "$x"; done < f`
  the file belongs to the loop,
- never from a terminal or another device.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from pathlib import Path

from hfcli.errors import DataError

SILENCE = 2.0  # seconds without data before a note on stderr
PATIENCE = 10.0  # seconds for the first data where a prompt was typed
MOST = 64 * 2**20  # bytes of a prompt, more than any model reads
CHUNK = 65536
WAITING = "waiting for stdin; Ctrl-D or </dev/null ends it"


def read_prompt(argument: str | None, file: Path | None = None) -> str | None:
    """Return stdin, then the file, then the argument.

    Alone, stdin or a file loses one final line end (`echo` and editors add it); before more text
    it keeps it. None when there is no text at all.

    Raises:
        DataError: stdin or the file cannot be read, or is not UTF-8.
    """
    typed = "" if argument in (None, "-") else argument or ""
    own = bool(typed) or file is not None
    piped = ""
    if argument == "-" or (sys.stdin is not None and not sys.stdin.isatty()):
        piped = read_stdin(typed=own and argument != "-")
    if own and piped:
        _say(f"note: {len(piped):,} characters of stdin stand before the prompt")
    if file is not None:
        from hfcli.cli.validate import read_text

        piped = _joined(piped, read_text(file))
    return _joined(piped, typed) if typed else piped.removesuffix("\n") or None


def _joined(before: str, after: str) -> str:
    return f"{before} {after}" if before and not before[-1].isspace() else before + after


def read_stdin(*, typed: bool) -> str:
    """Return the text of stdin, empty where it is not read.

    Args:
        typed: the command has a prompt without stdin.

    Raises:
        DataError: stdin cannot be read, is not UTF-8, or does not end within `MOST` bytes.
    """
    number = _file_number()
    if number is None or (typed and not _belongs_to_us(number)):
        return ""
    try:
        if typed and not _has_begun(number):
            return ""
        data = _read(number)
    except OSError as e:
        raise DataError(f"stdin: cannot be read ({e.strerror})") from e
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise DataError(
            f"stdin: not UTF-8 text (byte 0x{data[e.start]:02x} at position {e.start})",
            hint="iconv -f latin1 -t utf-8 converts text of another encoding",
        ) from e


def tell_if_waiting() -> None:
    """Write a note when neither data nor the end of stdin comes for some seconds."""
    number = _file_number()
    if number is not None and not os.isatty(number) and not _ready(number, SILENCE):
        _say(WAITING)


def _file_number() -> int | None:
    """Its descriptor; None where stdin is closed."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None


def _belongs_to_us(number: int) -> bool:
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        if os.lseek(number, 0, os.SEEK_CUR) == 0:
            return True
        if os.lseek(number, 0, os.SEEK_CUR) < os.fstat(number).st_size:
            _say("note: stdin is not read: another command reads from that file")
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _has_begun(number: int) -> bool:
    """Whether data or the end of stdin comes soon."""
    if _ready(number, SILENCE):
        return True
    _say(f"{WAITING}; without data in {PATIENCE - SILENCE:g} s it is not read")
    if _ready(number, PATIENCE - SILENCE):
        return True
    _say("note: stdin had no data and is not read")
    return False


def _read(number: int) -> bytes:
    data = bytearray()
    told = os.isatty(number)
    while True:
        if not told and not _ready(number, SILENCE):
            told = True
            _say(WAITING)
        piece = os.read(number, CHUNK)
        if not piece:
            return bytes(data)
        data += piece
        if len(data) > MOST:
            raise DataError(
                f"stdin: more than {MOST >> 20} MiB, which is too long for a prompt",
                hint="hfcli generate --input - --output FILE reads many prompts",
            )


def _ready(number: int, seconds: float) -> bool:
    """Whether reading would not wait, at the end of these seconds at the latest."""
    if sys.platform == "win32":  # no select on pipes
        return True
    return bool(select.select([number], [], [], seconds)[0])


def _say(text: str) -> None:
    from hfcli.render.streams import write_err

    write_err(text)
