"""The runbooks' shell scripts, carried out on the test database with stand-ins for the rest."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from outbound_slo.embedded.binaries import Tools

# The runbooks' host, user and database give way to the test's; all else is psql's.
_CLIENT = """#!/bin/bash
given=()
while (($#)); do
  case $1 in
    -h | -U | -d) shift 2 ;;
    *) given+=("$1"); shift ;;
  esac
done
exec "{program}" "${{given[@]}}" -d "$DATABASE_URL"
"""
# One line per call; what the runbooks call over the network answers that all is well.
_RECORDER = """#!/bin/bash
echo "{name} $*" >> "$CALLS"
"""
# watch runs its command once, kubectl has a log without the line that is looked for.
_STAND_INS = {
    "curl": _RECORDER.format(name="curl"),
    "aws": _RECORDER.format(name="aws"),
    "sleep": "#!/bin/bash\n",
    "watch": '#!/bin/bash\nshift 2\nexec bash -c "$1"\n',
    "kubectl": "#!/bin/bash\necho 'INFO webhook accepted'\n",
}


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """What a script left behind: status, output, calls to stand-ins, and its directory."""

    status: int
    output: str
    complaints: str
    calls: tuple[str, ...]
    directory: Path


@dataclass(frozen=True, slots=True)
class Stage:
    """A place to run scripts.

    Attributes:
        directory: Each run's directory goes here; it stands for /tmp and /backup, and the server
            may write there too.
        tools: The real psql and pg_dump.
        database_url: The filled database.

    """

    directory: Path
    tools: Tools
    database_url: str

    def run(self, script: str) -> ScriptRun:
        """Run a script's text with bash to its end, in a directory of its own."""
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        directory.chmod(0o777)
        programs = directory / "programs"
        programs.mkdir()
        clients = {name: _CLIENT.format(program=self.tools[name]) for name in ("psql", "pg_dump")}
        for name, text in {**_STAND_INS, **clients}.items():
            (programs / name).write_text(text, "utf-8")
            (programs / name).chmod(0o755)
        calls = directory / "calls"
        calls.touch()
        for path in ("/tmp/", "/backup/"):  # noqa: S108 - the runbooks' words, replaced
            script = script.replace(path, f"{directory}/")
        # Half an hour of checks is two checks here.
        script = script.replace("DURATION_MINUTES=30", "DURATION_MINUTES=2")
        file = directory / "script.sh"
        file.write_text(script, "utf-8")
        done = subprocess.run(
            ["bash", str(file)],
            capture_output=True,
            text=True,
            check=False,
            cwd=directory,
            env=self.tools.environment()
            | {
                "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "DATABASE_URL": self.database_url,
                "CALLS": str(calls),
                "ADMIN_TOKEN": "token",
                "OUTPUT_DIR": str(directory),
            },
        )
        recorded = tuple(calls.read_text("utf-8").splitlines())
        return ScriptRun(done.returncode, done.stdout, done.stderr, recorded, directory)
