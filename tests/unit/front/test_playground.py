import re
from importlib import resources

import pytest

from tests.unit.front.front_harness import FrontHarness

FOLDER = resources.files("front").joinpath("static", "playground")
FILES = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()}


@pytest.fixture
def harness_options() -> dict[str, bool]:
    return {"playground": True}


async def test_playground_is_served_without_a_key_under_a_strict_policy(
    harness: FrontHarness,
) -> None:
    async with harness.client.get("/", headers={"Authorization": ""}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy


async def test_playground_serves_each_file_that_its_page_names(harness: FrontHarness) -> None:
    named = re.findall(r'(?:src|href)="(playground/[^"]+)"', FILES["index.html"])
    named += [f"playground/{name}" for name in FILES if name.endswith(".js")]
    assert named
    for path in set(named):
        async with harness.client.get(f"/{path}") as answer:
            assert answer.status == 200, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert await answer.text() == FILES[path.removeprefix("playground/")]


@pytest.mark.parametrize(
    "path", ["/playground/", "/playground/index.html", "/playground/..%2f..%2fapp.py"]
)
async def test_playground_serves_nothing_else(harness: FrontHarness, path: str) -> None:
    async with harness.client.get(path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("harness_options", [{}])
async def test_playground_is_off_unless_a_setting_says_so(harness: FrontHarness) -> None:
    for path in ("/", "/playground/main.js"):
        async with harness.client.get(path) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "unknown_url")


def test_playground_has_nothing_inline_and_no_other_host() -> None:
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", FILES["index.html"])
    for name, text in FILES.items():
        addresses = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
        assert not addresses, name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|document\.write", text
        )


def test_playground_is_small() -> None:
    assert sum(len(text.encode()) for text in FILES.values()) < 110_000
