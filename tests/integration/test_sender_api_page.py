"""The curl lines of docs/http-api.md, run as they stand."""

import re
import subprocess
from pathlib import Path

from tests.integration.api_stand import TOKEN, open_stand

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_every_curl_line_of_the_page_works(database: str, tmp_path: Path) -> None:
    settings, *blocks = BLOCKS
    assert settings.startswith("export API=")
    commands = [
        command
        for block in blocks
        for command in re.split(r"^(?=curl )", block, flags=re.MULTILINE)
    ]
    assert len([command for command in commands if command]) == 12
    with open_stand(database, tmp_path) as stand:
        for command in filter(None, commands):
            done = subprocess.run(
                ["bash", "-c", command],
                capture_output=True,
                text=True,
                check=False,
                env={
                    "PATH": "/usr/local/bin:/usr/bin:/bin",
                    "API": stand.url,
                    "ADMIN_TOKEN": TOKEN,
                },
            )
            assert done.returncode == 0, f"{command}{done.stderr}{done.stdout}"
            assert done.stdout
