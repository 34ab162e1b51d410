"""Jaegers of different ages, played by the embedded store: HTTP sessions that answer as they do."""

from typing import Any

import requests


class Recorder(requests.Session):
    """Records the paths asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []

    def get(self, url: str | bytes, **options: Any) -> requests.Response:  # noqa: ANN401 - as the base class
        """Ask, after `answer` has had its say."""
        path = "/" + str(url).split("/", 3)[3]
        self.paths.append(path)
        return self.answer(path, str(url), options)

    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        """Answer as the store does."""
        del path
        return super().get(url, **options)


def plain_answer(status: int, text: str, url: str) -> requests.Response:
    """Make an answer up."""
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    response.request = requests.PreparedRequest()
    response.request.prepare_url(url, None)
    return response


class JaegerWithoutThirdApi(Recorder):
    """As Jaegers of long ago."""

    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        """Know nothing of `/api/v3`."""
        if path.startswith("/api/v3"):
            return plain_answer(404, "404 page not found\n", url)
        return super().answer(path, url, options)
