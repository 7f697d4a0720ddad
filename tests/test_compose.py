"""docker-compose.yml: valid, without a secret of its own, and its commands come up healthy on a real PostgreSQL."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from include.settings import CHECKOUT
from tests.processes import free_port, running, wait_until

pytestmark = pytest.mark.slow

FILE = CHECKOUT / "docker-compose.yml"
SECRETS = ("POSTGRES_PASSWORD", "JWT_SECRET", "API_SECRET_KEY", "FERNET_KEY", "ADMIN_PASSWORD")
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?P<rule>:[-?])?(?P<word>[^}]*)\})")


class NoValue(Exception):
    """A variable that compose would refuse to start without."""


def interpolate(value: Any, env: Mapping[str, str]) -> Any:
    """What compose makes of ${NAME}, ${NAME:-default}, ${NAME:?message} and $$, all through a document."""
    if isinstance(value, dict):
        return {key: interpolate(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, env) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if not env.get(match["name"]) and match["rule"] == ":?":
            raise NoValue(f"{match['name']}: {match['word']}")
        return env.get(match["name"]) or match["word"]

    return VARIABLE.sub(replace, value)


def sample() -> dict[str, str]:
    lines = (CHECKOUT / ".env.sample").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secrets() -> dict[str, str]:
    return (
        sample()
        | {name: f"{name.lower().replace('_', '')}0123456789" for name in SECRETS}
        | {"FERNET_KEY": base64.urlsafe_b64encode(b"f" * 32).decode()}
    )


def schema_check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_file_keeps_the_compose_schema(tmp_path: Path) -> None:
    assert (checked := schema_check(FILE)).returncode == 0, checked.stdout
    spoiled = tmp_path / "docker-compose.yml"
    spoiled.write_text(FILE.read_text().replace("cap_drop: [ALL]", "cap_drop: ALL"))
    assert schema_check(spoiled).returncode == 1


@pytest.mark.parametrize("missing", SECRETS)
def test_nothing_starts_without_its_secret(missing: str) -> None:
    document = yaml.safe_load(FILE.read_text())
    assert not sample()[missing], "the sample must not hold a value people would keep"
    with pytest.raises(NoValue, match=missing):
        interpolate(document, secrets() | {missing: ""})
    assert interpolate(document, secrets())


def test_services_are_guarded_checked_and_ordered() -> None:
    services = interpolate(yaml.safe_load(FILE.read_text()), secrets())["services"]
    assert set(services) == {"postgres", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer"}
    for name, service in services.items():
        assert service["user"] not in ("root", "0"), name
        assert service["healthcheck"]["test"], name
        assert all("condition" in need for need in service.get("depends_on", {}).values()), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    airflow = [service["environment"] for name, service in services.items() if name not in ("postgres", "airflow-init")]
    assert all(environment == airflow[0] for environment in airflow), "they must share one set of secrets"


def postgres_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL's server programs are not installed (Debian: apt-get install postgresql)"
    return found[-1]


@pytest.mark.timeout(400)
def test_commands_come_up_healthy_on_postgres(tmp_path: Path) -> None:
    ports = {"5432": free_port(), "8080": free_port(), "8974": free_port()}
    places = {
        "@postgres:5432": f"@127.0.0.1:{ports['5432']}",
        "//api-server:8080": f"//127.0.0.1:{ports['8080']}",
        "localhost:8080": f"127.0.0.1:{ports['8080']}",
        "localhost:8974": f"127.0.0.1:{ports['8974']}",
        "/opt/nightshelf": str(CHECKOUT),
        "/state": str(tmp_path / "state"),
    }

    def here(text: str) -> str:
        """The same value on this machine: other ports and folders, nothing else."""
        for theirs, ours in places.items():
            text = text.replace(theirs, ours)
        return str(ports.get(text, text))

    services = interpolate(yaml.safe_load(FILE.read_text()), secrets())["services"]
    base = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    env = {name: base | {key: here(value) for key, value in s["environment"].items()} for name, s in services.items()}
    (tmp_path / "state").mkdir()

    def healthy(name: str) -> bool:
        kind, *command = services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return subprocess.run([here(word) for word in command], env=env[name], cwd=tmp_path, capture_output=True).returncode == 0

    with ExitStack() as stack:
        data = stack.enter_context(postgres_folder())
        start_postgres(stack, data, ports["5432"], env["postgres"], tmp_path)
        env["postgres"] |= {"PGHOST": "127.0.0.1", "PGPORT": str(ports["5432"]), "PATH": f"{postgres_bin()}:{base['PATH']}"}
        wait_until(lambda: healthy("postgres"), 60, "postgres healthy", tmp_path / "postgres.log")
        create = ["createdb", "--username", env["postgres"]["POSTGRES_USER"], env["postgres"]["POSTGRES_DB"]]
        subprocess.run(create, env=env["postgres"] | {"PGPASSWORD": env["postgres"]["POSTGRES_PASSWORD"]}, check=True)

        init = subprocess.run(services["airflow-init"]["command"], env=env["airflow-init"], cwd=tmp_path, capture_output=True, text=True)
        assert init.returncode == 0, init.stdout + init.stderr
        waiting = ["api-server", "scheduler", "dag-processor", "triggerer"]
        for name in waiting:
            stack.enter_context(running(services[name]["command"], env[name], tmp_path / f"{name}.log", tmp_path))
        for name in waiting:
            wait_until(lambda name=name: healthy(name), 180, f"{name} healthy", tmp_path / f"{name}.log", every=2)

        site = f"http://127.0.0.1:{ports['8080']}"
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"{site}/api/v2/dags")
        login = {"username": "admin", "password": secrets()["ADMIN_PASSWORD"]}
        request = Request(f"{site}/auth/token", json.dumps(login).encode(), {"Content-Type": "application/json"})
        token = json.load(urlopen(request))["access_token"]

        def ask(path: str) -> Any:
            return json.load(urlopen(Request(f"{site}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"})))

        health = ask("monitor/health")
        assert {part: state["status"] for part, state in health.items()} == dict.fromkeys(
            ("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy"
        )
        assert ask("pools/warehouse")["slots"] == 1
        wait_until(lambda: ask("dags")["total_entries"] > 0, 90, "nightly parsed", tmp_path / "dag-processor.log")
        assert "nightly" in {dag["dag_id"] for dag in ask("dags")["dags"]}
        assert ask("importErrors")["total_entries"] == 0


@contextmanager
def postgres_folder() -> Iterator[Path]:
    """A folder for the server's own user: PostgreSQL refuses to run as root, and pytest's folders are root's alone."""
    with tempfile.TemporaryDirectory(prefix="nightshelf-postgres-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        yield Path(folder)


def start_postgres(stack: ExitStack, data: Path, port: int, env: Mapping[str, str], logs: Path) -> None:
    """What the postgres image does at its first start: a cluster with one user, who needs the password."""
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    password = data / "password"
    password.write_text(env["POSTGRES_PASSWORD"])
    if become:
        shutil.chown(password, "postgres")
    initdb = [str(postgres_bin() / "initdb"), "-D", f"{data}/cluster", "--username", env["POSTGRES_USER"], "--pwfile", str(password)]
    subprocess.run([*become, *initdb, "--auth=scram-sha-256"], check=True, capture_output=True, cwd="/")
    server = [str(postgres_bin() / "postgres"), "-D", f"{data}/cluster", "-p", str(port), "-h", "127.0.0.1", "-k", str(data)]
    stack.enter_context(running([*become, *server], os.environ, logs / "postgres.log", Path("/")))
