"""The ways in: make's targets, and the lock they install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from include.settings import CHECKOUT

pytestmark = pytest.mark.slow

TARGETS = {
    "help",
    "nightly",
    "tune",
    "ui",
    "check-source",
    "rollback",
    "test",
    "test-fast",
    "check",
    "bench",
    "bench-recommend",
    "bench-side-by-side",
    "bench-sentiment",
    "lock",
    "clean",
}
PIN = re.compile(r"^[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*$")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (CHECKOUT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert all(PIN.match(line) for line in lines), "a lock holds exact versions and nothing else"
    return {re.sub(r"[-_.]+", "-", package).lower(): pinned for package, pinned in (line.split("==") for line in lines)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no packages, so that setting up takes a moment."""
    (tmp_path / "Makefile").write_text((CHECKOUT / "Makefile").read_text())
    for lock in ("requirements.txt", "requirements-test.txt"):
        (tmp_path / lock).write_text("# nothing\n")
    return tmp_path


def test_help_names_every_target() -> None:
    shown = make(CHECKOUT)
    assert shown.returncode == 0
    assert {line.split()[1] for line in shown.stdout.splitlines()} == TARGETS


def test_set_up_happens_once(checkout: Path) -> None:
    first, second = make(checkout, ".venv/.installed-test"), make(checkout, ".venv/.installed-test")
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout.count("Installing") == 2
    assert "Installing" not in second.stdout
    os.utime(checkout / "requirements.txt", (9e9, 9e9))
    assert "Installing requirements.txt" in make(checkout, ".venv/.installed").stdout
    (checkout / "var").mkdir()
    assert make(checkout, "clean").returncode == 0
    assert not (checkout / ".venv").exists()
    assert (checkout / "var").exists()


@pytest.mark.parametrize("value", ["/data/it's", "/data/our shop; echo 'x' \"y\" `z` $HOME $(w) # *"])
@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("nightly", ["SOURCE", "DATA", "AS_OF"]),
        ("tune", ["SOURCE", "DATA", "MINUTES"]),
        ("ui", ["PORT"]),
        ("check-source", ["SOURCE", "DATA", "AS_OF"]),
        ("rollback", ["RELEASE"]),
        ("bench", ["ONLY"]),
        ("bench-recommend", ["SEQUENCES", "ATTRIBUTES"]),
        ("bench-sentiment", ["REVIEWS", "TEXT", "LABEL", "TIME"]),
    ],
)
def test_what_is_given_reaches_the_program_as_it_was_given(checkout: Path, target: str, names: list[str], value: str) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import json, sys; print(json.dumps(sys.argv[1:]))" "$@"\n')
    python.chmod(0o755)
    for mark in (".installed", ".installed-test"):
        (checkout / ".venv" / mark).touch()
    ran = make(checkout, target, *(f"{name}={value}" for name in names), "NIGHTSHELF_HOME=" + value)
    assert ran.returncode == 0, ran.stderr
    arguments = json.loads(ran.stdout.splitlines()[-1])
    assert [argument for argument in arguments if argument == value] == [value] * len(names)
    bare = json.loads(make(checkout, "rollback").stdout.splitlines()[-1])
    assert bare == ["-m", "include.publish.rollback"]


def test_checking_a_source_needs_to_know_which(checkout: Path) -> None:
    for mark in (".installed", ".installed-test"):
        (checkout / ".venv").mkdir(exist_ok=True)
        (checkout / ".venv" / mark).touch()
    refused = make(checkout, "check-source")
    assert refused.returncode == 2
    assert "Say which folder" in refused.stderr


def test_another_python_is_refused(checkout: Path) -> None:
    other = checkout / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9, 0); exec(sys.argv[1])" "$2"\n')
    other.chmod(0o755)
    refused = make(checkout, f"PYTHON={other}", ".venv/.installed")
    assert refused.returncode != 0
    assert "needs Python 3.11" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_lock_is_complete_and_installed() -> None:
    lock, extra = pins("requirements.txt"), pins("requirements-test.txt")
    assert lock["torch"] == pins("requirements-compare.txt")["torch"] == "2.13.0"
    assert not lock.keys() & extra.keys()
    for package, pinned in (lock | extra).items():
        assert version(package).split("+")[0] == pinned, f"{package} is locked at {pinned}"
    for wanted, kept in (("requirements.in", lock), ("requirements-test.in", extra)):
        for line in (CHECKOUT / wanted).read_text().splitlines():
            if line and not line.startswith("#"):
                package, pinned = re.sub(r"\[.*\]", "", line).split("==")
                assert kept[re.sub(r"[-_.]+", "-", package).lower()] == pinned
