"""A Postgres beside the server that is measured."""

import glob
import os
import subprocess
import tempfile

PORT = 54_329


class Postgres:
    """A server on a throw-away directory, with the settings it comes with, and those given."""

    def __init__(self, *settings):
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not binaries:
            raise RuntimeError("Postgres is not installed: tests/run --bench does it")
        self.bin, self.port = binaries[-1], PORT
        self.folder = tempfile.mkdtemp(prefix="tidegate-bench-postgres-")
        # It refuses to run as root.
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.as_user:
            subprocess.run(["chown", "postgres", self.folder], check=True)
        self.data = f"{self.folder}/data"
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "admin")
        own = f"-p {PORT} -c listen_addresses=127.0.0.1 -k {self.folder}"
        options = " ".join([own, *(f"-c {setting}" for setting in settings)])
        self.run("pg_ctl", "-D", self.data, "-w", "-o", options, "-l", f"{self.folder}/log", "start")
        self.run("createdb", "-h", "127.0.0.1", "-p", str(PORT), "-U", "admin", "dev")

    def run(self, program, *arguments):
        subprocess.run([*self.as_user, f"{self.bin}/{program}", *arguments], check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        subprocess.run(["rm", "-rf", self.folder], check=True)
