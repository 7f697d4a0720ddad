#!/usr/bin/env bash
# MLflow 3.17.2: a client makes and migrates the database of a local sqlite:/// tracking store at its first call, without a lock. Where two
# processes do so at the same moment on a file that is not there yet, one of them raises an error. Whoever logs from parallel processes
# should make the store in one of them first, or hold a file lock around the first call.
# Seen on 3.17.2: of four rounds of two processes that begin together some have an error; one after the other none has.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --disable-pip-version-check mlflow==3.17.2 2>/dev/null
cat > "$place/show.py" <<'PY'
import logging
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import mlflow
from mlflow import MlflowClient

ROUNDS = 4


def begin(uri, barrier, said):
    logging.disable(logging.CRITICAL)
    if barrier is not None:
        barrier.wait()
    try:
        MlflowClient(uri).search_experiments()
        said.put("")
    except Exception as error:
        said.put(type(error).__name__)


def errors(together):
    context = get_context("spawn")
    found = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            uri, said = f"sqlite:///{Path(folder) / 'mlflow.db'}", context.Queue()
            barrier = context.Barrier(2) if together else None
            processes = [context.Process(target=begin, args=(uri, barrier, said)) for _ in range(2)]
            for process in processes:
                process.start()
                if not together:
                    process.join()
            found += [said.get() for _ in processes]
            for process in processes:
                process.join()
    return sorted(filter(None, found))


if __name__ == "__main__":
    alone, together = errors(False), errors(True)
    print("mlflow", mlflow.__version__)
    print(f"two processes one after the other, {ROUNDS} rounds: errors {alone}")
    print(f"two processes at once, {ROUNDS} rounds: errors {together}")
    sys.exit(0 if not alone and together else "changed")
PY
"$place/venv/bin/python" "$place/show.py"
