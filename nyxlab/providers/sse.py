"""Server-sent events as a pure function of bytes: what comes in any pieces goes out as whole events."""

from __future__ import annotations


class Events:
    """Puts events together from a stream's bytes; of an event only its data is kept, which is all that vendors use."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that this chunk completes."""
        if b"\n" not in chunk:  # one endless line is kept in pieces: joining it anew each time would be quadratic
            self._rest.append(chunk)
            return []
        *lines, rest = b"".join((*self._rest, chunk)).split(b"\n")
        self._rest = [rest]
        done: list[bytes] = []
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
            elif not field and not value and self._data:
                done.append(b"\n".join(self._data))
                self._data = []
        return done
