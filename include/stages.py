"""The stages of a night that its models give it: which tables dbt makes after which model, and which model waits for which.

    models/staging, behaviour, features    before any model, in the task `transform`
    models/predictions/<model>             after that model, in the task `after_<model>`
    models/serving                         after all models, in the task `serve`

Everything follows from the models' own declarations (`ml/*/spec.py`) and from the folders; there is no list of models.
"""

from __future__ import annotations

import re
from pathlib import Path

from include.settings import CHECKOUT
from ml.model_spec import in_order, known_models

PROJECT = CHECKOUT / "dbt_project"
BEFORE = ("staging", "behaviour", "features")

_ALIAS = re.compile(r"alias\s*=\s*'(\w+)'")
_PARQUET = re.compile(r"materialized\s*=\s*'parquet'")


def has_tables_after(model: str) -> bool:
    """Whether dbt makes anything of the model's predictions before other models are learned."""
    return (PROJECT / "models" / "predictions" / model).is_dir()


def files_after(model: str) -> set[str]:
    """Feature files, without '.parquet', that dbt makes of a model's predictions."""
    texts = {path.stem: path.read_text() for path in (PROJECT / "models" / "predictions" / model).glob("*.sql")}
    return {_file_name(stem, text) for stem, text in texts.items() if _PARQUET.search(text)}


def waits_for() -> dict[str, set[str]]:
    """By model, the models it is learned after: those of whose predictions dbt makes feature files that it reads.

    Raises:
        TypeError: a model reads a file that no dbt model makes, a folder of predictions is of no model, or models wait for each other.
    """
    models = known_models()
    if strange := {path.name for path in (PROJECT / "models" / "predictions").glob("*/")} - models.keys():
        raise TypeError(f"dbt_project/models/predictions has folders of no model: {', '.join(sorted(strange))}")
    before = {_file_name(path.stem, path.read_text()) for path in (PROJECT / "models" / "features").glob("*.sql")}
    made = {name: files_after(name) for name in models}
    for name, spec in models.items():
        if unmade := set(spec.reads) - before.union(*made.values()):
            raise TypeError(f"model {name!r} reads what no dbt model makes: {', '.join(sorted(unmade))}")
    needs = {name: {other for other, files in made.items() if files & set(spec.reads)} for name, spec in models.items()}
    in_order(needs)
    return needs


def learning_steps() -> list[str]:
    """The steps between the features gate and serving, in an order that one process can keep: `learn_<model>` and `after_<model>`."""
    ordered = in_order(waits_for())
    return [step for name in ordered for step in (f"learn_{name}", *([f"after_{name}"] if has_tables_after(name) else []))]


def _file_name(stem: str, sql: str) -> str:
    alias = _ALIAS.search(sql)
    return alias[1] if alias else stem


def models_path(stage: str) -> list[Path]:
    """Folders of the dbt project that a stage builds: 'features', 'serving', or the name of the model it comes after."""
    if stage == "features":
        return [Path("models") / folder for folder in BEFORE]
    return [Path("models") / "serving"] if stage == "serving" else [Path("models") / "predictions" / stage]
