"""The dataset's small workspace under real git and DVC serves here too."""

from iip_assets_tests.dataset.conftest import _pristine, team, workspace

__all__ = ["_pristine", "team", "workspace"]
