"""Who may take whose place: what a night would put in front of the readers, held against what they see now."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.errors import GateRefused
from include.night import Night
from include.publish.releases import Release, current_release, list_releases
from include.sql import literal

log = logging.getLogger(__name__)

DEMO = "demo"


@dataclass(frozen=True)
class Customers:
    """How many customers have a list: in the release being served, tonight, and in the first but not in the second."""

    served: int
    tonight: int
    lost: int


def replaced_release(night: Night) -> Release | None:
    """The release that readers would lose to this night; None where none is served or a later night of the same shop stays."""
    served = current_release(night.home)
    if served and served.shop == night.shop and served.as_of > night.as_of.replace(tzinfo=None):
        return None
    return served


def is_replaceable(served: Release, replace_shop: str | None) -> bool:
    """Whether another shop may take the place of `served`: the demo's always, any other's where the setting names it."""
    return served.source == DEMO or served.shop == replace_shop


def require_may_replace(night: Night, built: Path | None = None) -> str:
    """Stop what would take a release from the readers that nobody agreed to give up.

    Another shop takes the place only of the demo, or where the setting replace_shop names the shop being served. The same
    shop may lose max_customers_lost of its customers. A dry run is told what would stop it, and goes on.

    Args:
        built: tonight's release where it is made; before, only the shops are compared.

    Returns:
        What is to be told about the replacement, '' where there is nothing.

    Raises:
        GateRefused: both shops, their customers and the setting that would make it right stand in the message.
    """
    served = replaced_release(night)
    if served is None:
        return ""
    customers = _count(night, served, built) if built else None
    told, refusal = "", None
    if served.shop != night.shop:
        if is_replaceable(served, night.settings.replace_shop):
            told = _replacement(served, customers)
        else:
            refusal = _other_shop(night, served, customers)
    elif customers and customers.lost > night.settings.max_customers_lost * customers.served:
        refusal = _too_few(night, served, customers)
    if refusal and night.settings.publish:
        raise refusal
    if refusal:
        told = f"publishing it would be refused. {refusal}"
    if told:
        log.warning("%s", told)
    return told


def _count(night: Night, served: Release, built: Path) -> Customers:
    settings = night.settings
    with duckdb.connect(config={"memory_limit": f"{settings.warehouse_memory_gb}GB", "threads": settings.threads}) as connection:
        connection.execute("SET temp_directory = $folder", {"folder": str(night.shop_home / "tmp")})
        for name, path in (("served", served.path), ("tonight", built)):
            connection.execute(f"ATTACH {literal(path)} AS {name} (READ_ONLY)")
        counts = connection.execute(
            """
            WITH before AS (SELECT customer_id FROM served.main.recommendations WHERE rank = 1),
            after AS (SELECT customer_id FROM tonight.main.recommendations WHERE rank = 1)
            SELECT (SELECT count(*) FROM before), (SELECT count(*) FROM after), count(*) FROM before ANTI JOIN after USING (customer_id)
            """
        ).fetchall()[0]
    return Customers(*counts)


def customers_of(release: Release) -> int:
    """How many customers have a list in a release."""
    with duckdb.connect(str(release.path), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM main.recommendations WHERE rank = 1").fetchone()
    return int(row[0]) if row else 0


def _replacement(served: Release, customers: Customers | None) -> str:
    told = f"in place of shop {served.shop}, release {served.release_id}"
    if customers:
        told += f": {customers.tonight:,} customers after {customers.served:,}, of whom {customers.lost:,} have no list any more"
    return told


def _other_shop(night: Night, served: Release, customers: Customers | None) -> GateRefused:
    if customers:
        tonight = f"tonight's release has {customers.tonight:,} and none of {customers.lost:,} of those"
    else:
        kept = list_releases(night.home, night.shop)
        tonight = f"its last release had {customers_of(kept[-1]):,}" if kept else "it has had no release yet"
    served_customers = customers.served if customers else customers_of(served)
    problem = (
        f"Shop {night.shop} would take the place of another shop, {served.shop}, which is served to {served_customers:,} customers"
        f" (release {served.release_id}); {tonight}"
    )
    if night.settings.replace_shop:
        problem += f"; NIGHTSHELF_REPLACE_SHOP names {night.settings.replace_shop}, which is not the shop being served"
    same = f"If it is the same shop, whose files only lie in another place now, keep its name: NIGHTSHELF_SHOP={served.shop}. "
    return GateRefused(
        problem,
        ("" if night.settings.source == DEMO else same) + f"If the other shop is to go, confirm it: NIGHTSHELF_REPLACE_SHOP={served.shop}."
        f" To serve both, give each its own NIGHTSHELF_HOME. Until then {served.release_id} stays.",
    )


def _too_few(night: Night, served: Release, customers: Customers) -> GateRefused:
    share = customers.lost / customers.served
    enough = math.ceil(100 * share) / 100
    return GateRefused(
        f"Shop {night.shop} is served to {customers.served:,} customers (release {served.release_id}) and tonight's release has"
        f" {customers.tonight:,}: {customers.lost:,} ({share:.0%}) would be left without a list,"
        f" more than max_customers_lost = {night.settings.max_customers_lost:g}",
        f"Look whether the shop's files are whole. If so many customers are really gone, NIGHTSHELF_MAX_CUSTOMERS_LOST={enough:g} lets"
        f" the night pass. Until then {served.release_id} stays.",
    )
