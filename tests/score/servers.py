"""The two servers: each on a throw-away directory and a free port, ended by its process id."""

import glob
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import wire

START_SECONDS_MAX = 60
# As the suite itself is run, but for dates, which Tidegate shows in the ISO style only.
SETTINGS = ("SET timezone = 'PST8PDT'", "SET statement_timeout = '20s'")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process with a directory of its own, started again when it has died."""

    def __init__(self, name):
        self.name, self.port = name, free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tidegate-score-{name}-"))
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)

    def session(self, database="dev"):
        """A session with the settings of the suite; waits for the server, and starts it if it has died."""
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.process and self.process.poll() is not None:
                self.start()
            try:
                found = wire.Session(self.port, database)
                break
            except (OSError, wire.Lost):
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        for text in SETTINGS:
            found.run(text)
        return found

    def restart(self):
        self.end()
        self.start()

    def end(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(START_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stop(self):
        self.end()
        shutil.rmtree(self.folder)


class Postgres(Server):
    """Postgres 15 in the C locale, as the suite wants it, with the databases `dev` and `again`."""

    def __init__(self):
        super().__init__("postgres")
        (self.bin,) = glob.glob("/usr/lib/postgresql/15/bin") or [None]
        if self.bin is None:
            raise RuntimeError("Postgres 15 is not installed: apt-get install postgresql-15")
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        made = [f"{self.bin}/initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "admin", "--no-locale", "-E", "UTF8"]
        # It refuses to run as root.
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, user=self.user, group=self.user, cwd=self.folder)
        self.start()
        session = self.session("postgres")
        for name in ("dev", "again"):
            session.run(f"CREATE DATABASE {name} TEMPLATE template0")
        session.close()

    def start(self):
        command = [f"{self.bin}/postgres", "-D", f"{self.folder}/data", "-p", str(self.port), "-k", "", "-c", "fsync=off"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self.user, group=self.user, cwd=self.folder)

    def end(self):
        # SIGINT: does not wait for sessions.
        self.process.send_signal(2)
        self.process.wait(START_SECONDS_MAX)


class Tidegate(Server):
    """The server under test."""

    def __init__(self, binary):
        super().__init__("tidegate")
        self.binary = binary
        self.start()

    def command(self):
        return [self.binary, "serve", "--data", f"{self.folder}/data", "--sql-listen", f"127.0.0.1:{self.port}",
                "--http-listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"]


class Running:
    """A server that somebody else has started."""

    def __init__(self, port):
        self.port, self.process = port, None

    session = Server.session

    def restart(self):
        pass

    def stop(self):
        pass
