"""All settings of Nightshelf: one object, made of the platform's settings and of those that each model declares in its folder.

Every field is read from the environment as NIGHTSHELF_<FIELD>, for example NIGHTSHELF_LIST_LENGTH=20; a DAG run's
parameters override it for that run. A value outside its bounds stops the start and names the field.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, create_model, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.errors import BadSetting
from ml.model_spec import known_models

CHECKOUT = Path(__file__).resolve().parent.parent

EventWeights = dict[Literal["purchase", "review", "cart", "wishlist", "recommendation_click", "view"], float]


class PlatformSettings(BaseSettings):
    """What is set apart from single models."""

    model_config = SettingsConfigDict(env_prefix="NIGHTSHELF_", extra="forbid", frozen=True, validate_default=True)

    home: Path = Field(
        CHECKOUT / "var",
        description="Folder that holds all state: landing files, warehouse, models, releases; its path has none of * ? [ ; # =.",
    )

    source: str = Field("demo", pattern=r"^[a-z][a-z0-9_]{0,40}$", description="Kind of shop data: a folder name under include/sources.")
    data: Path | None = Field(
        None, description="Folder with the shop's files; the demo needs none, for files it defaults to the landing folder."
    )
    shop: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$",
        description="Name the shop's state is kept under; by default made from source and data folder, so another folder is another shop.",
    )
    sources: Path | None = Field(
        None,
        description="Folder of the installation's own mapped sources, searched beside include/sources; it may lie outside the checkout.",
    )
    replace_shop: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$",
        description="Name of the shop being served that this shop's release may replace; otherwise only the demo is replaced.",
    )

    seed: int = Field(20, ge=0, le=2**31 - 1, description="Seed of everything random.")
    threads: int = Field(2, ge=1, le=256, description="Threads a step may use.")
    warehouse_memory_gb: float = Field(2.0, ge=0.25, le=1024, description="Memory DuckDB may use before it spills to disk, gigabytes.")

    demo_customers: int = Field(1500, ge=1, le=10_000_000, description="Customers of the demo shop.")
    demo_products: int = Field(400, ge=1, le=1_000_000, description="Products of the demo shop.")
    demo_days: int = Field(90, ge=1, le=3650, description="Days of history the demo shop is born with.")

    max_quarantine_share: float = Field(
        0.05, ge=0, le=1, description="Share of a table's new rows that may be refused before the raw gate stops the night."
    )
    max_unmatched_share: float = Field(
        0.5, ge=0, le=1, description="Share of a column's ids that may find nothing in their table before the raw gate stops the night."
    )
    max_misspelt_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of a column's ids that may find their table only when spelt another way (17004.0 for 17004, a1 for A1).",
    )
    snapshot_tables: list[str] = Field(
        [], max_length=100, description="Tables whose newest file holds all rows there are, as a JSON list: a row that it lacks is gone."
    )
    max_snapshot_loss: float = Field(
        0.2, ge=0, le=1, description="Share of a snapshot table's rows that may go at once before the raw gate stops the night."
    )
    max_customer_share: float = Field(
        0.1, gt=0, le=1, description="Share of all orders, or of all events, above which one customer trains nothing (a guest, a robot)."
    )
    clock_skew_minutes: int = Field(
        60, ge=0, le=1440, description="How far a shop's clock may run ahead before a row counts as from the future, minutes."
    )
    freshness_days: float = Field(3, gt=0, le=3650, description="Age of the newest fact at which the raw gate warns, days.")
    trailing_nights: int = Field(7, ge=1, le=365, description="Earlier nights that row counts and shares are compared with.")
    max_customers_lost: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the customers being served that may be left without a list before the serving gate stops the night.",
    )
    warn_customers_lost: float = Field(0.05, ge=0, le=1, description="The same share from which the serving gate warns.")
    min_rows_share: float = Field(
        0.5, ge=0, description="Rows of a table, as a share of those in the release before, below which the serving gate warns."
    )
    min_overlap: float = Field(
        0.2, ge=0, le=1, description="Mean share of a customer's list that was in the list before, below which the serving gate warns."
    )
    min_coverage: float = Field(
        0.05, ge=0, le=1, description="Share of the products that can be had that the lists show, below which the serving gate warns."
    )
    min_test_labels: int = Field(
        100, ge=0, description="Purchases in the test days below which a model's figure is mostly luck, and the features gate warns."
    )
    max_textless_share: float = Field(
        0.5, ge=0, le=1, description="Share of products without any text above which the features gate warns."
    )
    min_new_rows_share: float = Field(
        0.3, ge=0, description="New rows of a table, as a share of the trailing nights' median, below which the raw gate warns."
    )
    max_null_rise: float = Field(
        0.2, ge=0, le=1, description="Rise of a column's share of missing values above the trailing nights' at which the raw gate warns."
    )
    max_rating_drift: float = Field(
        0.25,
        ge=0,
        description="Population stability index of ratings at which the raw gate warns (Siddiqi, Credit Risk Scorecards, 2006).",
    )

    session_gap_minutes: int = Field(30, ge=1, le=1440, description="Inactivity that ends a session, minutes.")
    lookback_days: int = Field(7, ge=0, le=365, description="Days before the last night that an incremental night rebuilds, for late rows.")
    event_weights: EventWeights = Field(
        default={"purchase": 5.0, "review": 4.0, "cart": 3.0, "wishlist": 2.5, "recommendation_click": 1.5, "view": 1.0},
        description="Worth of one event as evidence of taste, by event type; an absent type counts nothing.",
    )
    half_life_days: float = Field(60, gt=0, le=36500, description="Age at which an event counts half, days.")
    max_sequence_length: int = Field(200, ge=1, le=10_000, description="Most recent interactions kept of one customer's sequence.")
    repeatable_share: float = Field(
        0.15, ge=0, le=1, description="Share of a product's buyers who bought it again from which it counts as repeatable."
    )

    test_days: int = Field(7, ge=1, le=365, description="Last days on which models are judged.")
    validation_days: int = Field(7, ge=1, le=365, description="Days before the test days on which choices are made.")
    min_test_share: float = Field(
        0.10, ge=0, le=0.5, description="Least share of interactions in test (and in validation); widens the days where a shop is slow."
    )
    review_test_share: float = Field(0.20, gt=0, le=0.5, description="Share of rated reviews, the latest, on which sentiment is judged.")

    models: Literal["retrain", "keep"] = Field("retrain", description="Retrain the models, or predict with the champions as they are.")
    promote_margin: float = Field(
        0.01,
        ge=0,
        le=1,
        description="How much worse than the champion last proven, relative, a fresh model may be expected to be and still predict.",
    )
    max_of_category: int = Field(
        0, ge=0, le=200, description="Most products of one category in a list, where no rule names the category; 0 means no limit."
    )
    max_of_brand: int = Field(
        0, ge=0, le=200, description="Most products of one brand in a list, where no rule names the brand; 0 means no limit."
    )
    own_brands: list[str] = Field([], max_length=1000, description="The shop's own brands, as a JSON list.")
    max_of_own_brands: int = Field(0, ge=0, le=200, description="Most products of the own brands together in a list; 0 means no limit.")

    tune_minutes: float = Field(
        60, gt=0, le=720, description="Time after which a search for better settings begins no other trial, minutes."
    )
    tune_trials: int = Field(50, ge=1, le=10_000, description="Trials after which a search for better settings ends.")

    encoder: str = Field("", description="Folder or hub name of the pretrained text encoder; empty means the packaged all-MiniLM-L6-v2.")
    suspect_weight: float = Field(
        0.25, ge=0, le=1, description="What a suspect review (a copy, of a burst, of a devotee) counts beside another's 1."
    )
    publish: bool = Field(True, description="Publish the release; when false it is built and checked, and stays unpublished.")
    keep_releases: int = Field(7, ge=1, le=1000, description="Releases kept on disk.")
    keep_nights: int = Field(
        14, ge=1, le=3650, description="Latest nights whose working files are kept: features, predictions, searches for settings, dbt's."
    )
    keep_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="Days for which refused rows, reports, MLflow runs, Airflow's logs and what nights wrote about themselves are kept.",
    )
    max_disk_gb: float = Field(
        0, ge=0, le=1_000_000, description="Gigabytes of the home folder above which working files go before their time; 0: no limit."
    )
    tracking_uri: str = Field("", description="MLflow server; empty means a local SQLite file and folder.")

    @field_validator("event_weights")
    @classmethod
    def _weights_are_positive(cls, weights: EventWeights) -> EventWeights:
        bad = {name: weight for name, weight in weights.items() if not 0 <= weight <= 1000}
        if bad or not any(weights.values()):
            raise ValueError(f"weights must lie between 0 and 1000 and one must be above 0, found {bad or weights}")
        return weights

    @field_validator("home", "data", "sources")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().resolve() if path else path

    @field_validator("home")
    @classmethod
    def _plain_path(cls, home: Path) -> Path:
        """DuckDB takes some names for patterns and a folder a=b for a column a; dbt's adapter takes a path for a URL."""
        if found := re.search(r"[*?\[;#]", str(home)):
            raise ValueError(f"no folder in its path may have {found[0]!r} in its name")
        if found := re.search(r"[^/]+=[^/]*", str(home)):
            raise ValueError(f"no folder in its path may be named as {found[0]!r} is, with '='")
        return home

    def of_model(self, name: str) -> Any:
        """The config of a model under these settings, for example `settings.of_model("recommender").list_length`."""
        return known_models()[name].config_under(dict(self))


def _of_models() -> dict[str, Any]:
    """The fields that models bring.

    Raises:
        TypeError: one has the name of a setting of the platform, or a model shares a setting that there is not.
    """
    models = known_models().values()
    brought = {name: found for spec in models for name, found in spec.own_settings().items()}
    if taken := sorted(brought.keys() & PlatformSettings.model_fields.keys()):
        raise TypeError(f"models bring settings that the platform has already: {', '.join(taken)}")
    there = brought.keys() | PlatformSettings.model_fields.keys()
    for spec in models:
        if unknown := sorted(set(spec.shared.values()) - there):
            raise TypeError(f"model {spec.name!r} shares settings that there are not: {', '.join(unknown)}")
    return brought


if TYPE_CHECKING:

    class Settings(PlatformSettings):
        """Settings of a Nightshelf installation, and of one night once a run's parameters are applied."""

else:
    Settings = create_model(
        "Settings",
        __base__=PlatformSettings,
        __module__=__name__,
        __doc__="Settings of a Nightshelf installation, and of one night once a run's parameters are applied.",
        **_of_models(),
    )


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with `overrides` (a DAG run's parameters) on top; None overrides nothing.

    Raises:
        BadSetting: a value is unknown, of the wrong type or out of bounds; the message names each field.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors())
        raise BadSetting(f"Bad setting: {problems}", "Correct the NIGHTSHELF_ variable or the run's parameter of that name.") from error
