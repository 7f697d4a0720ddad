"""Publishing a night: build a release privately, check it, swap it in; keep the last ones; put an earlier one back."""

from include.publish.publish import publish
from include.publish.releases import Release, current_release, latest_release_before, list_releases
from include.publish.replacing import replaced_release, require_may_replace

__all__ = [
    "Release",
    "current_release",
    "latest_release_before",
    "list_releases",
    "publish",
    "replaced_release",
    "require_may_replace",
]
