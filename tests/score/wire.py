"""A session of the Postgres protocol: simple queries only, every answer as text."""

import collections
import socket
import struct

WAIT_SECONDS_MAX = 30

# What a statement led to: names and types of columns, rows as text, the command's tag; or the SQLSTATE and message of an error.
Outcome = collections.namedtuple("Outcome", "columns types rows tag state message")


class Lost(Exception):
    """The server hung, or hung up."""


class Session:
    """A connection as `admin`."""

    def __init__(self, port, database):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS_MAX)
        self.file = self.socket.makefile("rb")
        body = struct.pack("!I", 196608) + f"user\0admin\0database\0{database}\0application_name\0score\0\0".encode()
        # As ReadyForQuery says: I idle, T in a block, E in a failed one.
        self.status = "I"
        self.socket.sendall(struct.pack("!I", len(body) + 4) + body)
        while self.message()[0] != b"Z":
            pass

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, kind, body=b""):
        self.socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def message(self):
        """The next message: its kind and its body."""
        head = self.file.read(5)
        if len(head) < 5:
            raise Lost("the server closed the connection")
        return head[:1], self.file.read(struct.unpack("!I", head[1:])[0] - 4)

    def run(self, text, data=None):
        """The outcome of one statement; `data` is what a COPY reads."""
        try:
            return self.answer(text, data)
        except TimeoutError as error:
            raise Lost(f"no answer in {WAIT_SECONDS_MAX} s") from error
        except (OSError, struct.error) as error:
            raise Lost(str(error)) from error

    def answer(self, text, data):
        columns, types, rows, tag, state, said = [], [], [], "", "", ""
        self.send(b"Q", text.encode() + b"\0")
        while True:
            kind, body = self.message()
            if kind == b"T":
                columns, types = described(body)
            elif kind == b"D":
                rows.append(row(body))
            elif kind == b"d":
                rows.append(body.decode(errors="replace").rstrip("\n"))
            elif kind == b"G":
                self.load(data)
            elif kind in (b"C", b"I"):
                tag = body[:-1].decode()
            elif kind == b"E":
                fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
                state, said = fields[b"C"], fields[b"M"]
            elif kind == b"Z":
                self.status = body.decode()
                return Outcome(columns, types, rows, tag, state, said)

    def load(self, data):
        """Sends the rows of a COPY."""
        if data is None:
            return self.send(b"f", b"no data\0")
        self.send(b"d", data)
        self.send(b"c")


def described(body):
    """Names and types of the columns of a RowDescription."""
    names, types, at = [], [], 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        types.append(struct.unpack_from("!I", body, end + 7)[0])
        at = end + 19
    return names, types


def row(body):
    """A DataRow as one line, as COPY would write it."""
    values, at = [], 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append("\\N" if size < 0 else body[at:at + size].decode(errors="replace").replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"))
        at += max(size, 0)
    return "\t".join(values)
