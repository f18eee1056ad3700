"""Errors whose message alone tells a person what to do; `iip` prints that and no traceback."""

from __future__ import annotations

from iip_assets.dataset.dvc_objects import MissingData
from iip_assets.engine.artifacts import DamagedArtifactError
from iip_assets.engine.lance_table import DamagedFeaturesError
from iip_assets.ingest.dvc_add import DvcRefusedError
from iip_assets.settings import SettingsError
from iip_assets.where import NoWorkspaceError

# BadPointer, BadManifest and BadInstanceError are ValueErrors, like a setting that is no setting;
# an OSError names its file: no space, no permission, no such folder, git not installed.
USER_ERRORS = (
    DamagedArtifactError,
    DvcRefusedError,
    DamagedFeaturesError,
    LookupError,
    MissingData,
    NoWorkspaceError,
    OSError,
    SettingsError,
    ValueError,
)
