"""What uploaded files hold, kept and read a piece at a time: a file may have hundreds of megabytes."""

from __future__ import annotations

from ..errors import StoreError
from .schema import Database

PIECE_BYTES = 1 << 20


def keep(database: Database, file: str, content: bytes | bytearray | memoryview) -> None:
    """Keeps the content of a new file."""
    with memoryview(content) as whole:
        for n, at in enumerate(range(0, len(whole), PIECE_BYTES)):
            piece = bytes(whole[at : at + PIECE_BYTES])
            database.run("INSERT INTO batch_pieces (file, n, content) VALUES (?, ?, ?)", (file, n, piece))


def piece_of_file(file: str, n: int, database: Database, now: int) -> bytes:
    """Piece `n` of a file. Raises StoreError when it is gone."""
    found = database.run("SELECT content FROM batch_pieces WHERE file = ? AND n = ?", (file, n))
    if not found and not n:
        # Kept whole, as files were at first.
        found = database.run("SELECT content FROM batch_files WHERE id = ? AND content IS NOT NULL", (file,))
    if not found:
        raise StoreError("This file was deleted while it was read.", "It is gone.")
    return bytes(found[0][0])


def forget(database: Database, file: str) -> None:
    """Deletes what a file holds."""
    database.count("DELETE FROM batch_pieces WHERE file = ?", (file,))


class Cut:
    """Cuts a text that comes in pieces into its lines, without their ends, which may be LF, CRLF or CR."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that a next piece completes."""
        begun = self._begun
        if begun and begun[-1].endswith(b"\r"):
            piece = begun.pop() + piece  # the two may be one line end
        # A CR that ends a piece may be the half of a line end: its line waits for the next one.
        whole = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
        if not whole:
            begun.append(piece)
            return []
        self._begun = [piece[whole:]] if whole < len(piece) else []
        return b"".join((*begun, piece[:whole])).splitlines()

    def rest(self) -> list[bytes]:
        """What stands after the last line end that is sure."""
        begun, self._begun = self._begun, []
        return b"".join(begun).splitlines()
