"""The documentation: its commands are typed as they stand and print what it shows, its links lead somewhere, and its two
languages have the same commands and figures.

A block marked `console` is run: `$ ` begins a command, and what follows is what it prints, with … for what differs from run to
run (a line that is only … stands for any lines). Blocks marked otherwise (`sh`) need what a check does not have."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest

import etl

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
RUN = [page for page in PAGES if page.name.startswith("README") and page.parent == ROOT or "docs" in page.relative_to(ROOT).parts]
FENCE = re.compile(r"^(```+)(\w*)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page, kinds):
    return [text for _, kind, text in FENCE.findall(page.read_text()) if kind in kinds]


def is_complete(command):
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def commands(block):
    """The commands of a block, each with the lines that it prints."""
    found, lines = [], iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while not is_complete(command):
                command += "\n" + next(lines)
            found.append((command, []))
        else:
            assert found, f"a block begins with no command: {line}"
            found[-1][1].append(line)
    return found


def pattern(lines):
    parts = []
    for line in lines:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n")
    return re.compile("".join(parts))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = tmp_path_factory.mktemp("docs") / "lake"
    run = etl.backfill(lake, "--keep-raw")
    assert run.code == 0, run
    return lake


@pytest.mark.parametrize("page", [page for page in RUN if blocks(page, ["console"])], ids=name)
def test_commands_print_what_the_page_shows(page, lake, tmp_path):
    for shared in ("examples", "schemas", "docs", "benches"):
        (tmp_path / shared).symlink_to(ROOT / shared)
    tools = tmp_path.parent / f"{tmp_path.name}-bin"
    tools.mkdir()
    (tools / "cookiepay-etl").symlink_to(Path(etl.BINARY).resolve())
    steps = list(itertools.chain.from_iterable(map(commands, blocks(page, ["console"]))))
    if "backfill --env simulator" not in steps[0][0]:
        # a page that does not begin with it is about a lake that is there
        shutil.copytree(lake, tmp_path / "lake")
    environment = {"PATH": f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    for command, shown in steps:
        if command == "cargo test":
            continue  # a step of the gate by itself
        typed = command.replace("cargo run --release --", "cookiepay-etl")
        ran = subprocess.run(
            ["bash", "-c", typed], cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
        )
        printed = "".join(line.rstrip() + "\n" for line in ran.stdout.splitlines())
        assert ran.returncode == 0, f"{name(page)}: {command}\nended with {ran.returncode}:\n{printed}"
        expected = [line for line in "\n".join(shown).strip("\n").split("\n") if shown]
        if expected and not pattern(expected).fullmatch(printed):
            pytest.fail(f"{name(page)}: {command}\nprinted\n{printed}\nand not\n" + "\n".join(expected), pytrace=False)


def anchors(page):
    """The anchors of a page's headings, as code hosts make them."""
    seen, found = {}, set()
    for heading in re.findall(r"^#+ (.+?)\s*#*$", FENCE.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = seen.get(slug, 0)
        seen[slug] = number + 1
        found.add(f"{slug}-{number}" if number else slug)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and unquote(anchor) not in anchors(target)):
            dead.append(link)
    assert not dead, f"{name(page)} links to what is not there: {dead}"


def test_every_page_is_reached():
    """From the front page or the index, in one or two clicks."""
    linked = set()
    for page in (ROOT / "README.md", ROOT / "README.ko.md", ROOT / "docs" / "README.md"):
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"[a-z]+:", link):
                linked.add((page.parent / unquote(link)).resolve())
    assert not [name(page) for page in ROOT.glob("docs/**/*.md") if page.resolve() not in linked and page.name != "README.md"]


KOREAN = sorted([*ROOT.glob("docs/ko/*.md"), ROOT / "README.ko.md"])


@pytest.mark.parametrize("korean", KOREAN, ids=name)
def test_both_languages_have_the_same_commands_and_figures(korean):
    english = ROOT / "README.md" if korean.parent == ROOT else ROOT / "docs" / korean.name
    plain = lambda command: re.sub(r" --lang (ko|en)\b", "", re.sub(r"\s*#.*$", "", command, flags=re.MULTILINE))
    figures = lambda lines: re.findall(r"\d[\d,.]*\d|\d", "\n".join(lines))

    def typed(page):
        sh = [(plain(block), []) for block in blocks(page, ["sh", "toml"])]
        return [(plain(command), figures(shown)) for block in blocks(page, ["console"]) for command, shown in commands(block)] + sh

    here, there = typed(korean), typed(english)
    # a page may leave out what a command prints
    missing = [(command, shown) for command, shown in here if not any(command == other and shown in ([], printed) for other, printed in there)]
    assert not missing, f"{name(korean)} has what {name(english)} has not: {missing}"


def test_messages_are_the_tools_own():
    """Troubleshooting quotes messages: each quoted part stands in the source."""
    source = " ".join(re.sub(r'\\\n\s*', "", path.read_text()) for path in ROOT.glob("src/**/*.rs"))
    source = re.sub(r"\{[\w:?.]*\}", "…", source)
    for page in (ROOT / "docs" / "troubleshooting.md", ROOT / "docs" / "ko" / "troubleshooting.md"):
        quoted = [cell for row in re.findall(r"^\| (`[^|]+`) \|", page.read_text(), re.MULTILINE) for cell in re.findall(r"`([^`]+)`", row)]
        assert quoted
        unknown = [text for text in quoted if not all(part.strip() in source for part in text.split("…"))]
        assert not unknown, f"{name(page)}: no message has {unknown}"


def test_results_are_as_their_schema_states(tmp_path):
    schema = json.loads((ROOT / "schemas" / "result.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    days = ("--from", "2024-01-02", "--to", "2024-01-09", "--rate-limit", 0, "--retries", 0)
    lake = ("--env", "simulator", "--dest", tmp_path / "lake")
    for code, arguments in [
        (0, ("backfill", *lake, *days, "--keep-raw")),
        (0, ("backfill", *lake, *days, "--refetch", "all", "--sim-seed", 2)),
        (3, ("backfill", *lake, *days, "--refetch", "all", "--sim-fault", "503@2024-01-04")),
        (0, ("rebuild", *lake[2:], "--from", "2024-01-02", "--to", "2024-01-09")),
        (0, ("delta", *lake[2:])),
        (2, ("backfill", *lake, *days, "--timeout", "0s")),
    ]:
        run = etl.run(*arguments, "--output", "json")
        assert run.code == code, run
        validator.validate(run.result)
