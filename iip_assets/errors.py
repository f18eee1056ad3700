"""Errors whose message alone tells a person what to do; `iip` prints that and no traceback."""

from __future__ import annotations

from iip_assets.engine.artifacts import DamagedArtifactError
from iip_assets.graph import NoWorkspaceError
from iip_assets.settings import SettingsError

# BadPointer and BadManifest are ValueErrors, like a setting that is no setting.
USER_ERRORS = (
    DamagedArtifactError,
    FileExistsError,
    LookupError,
    NoWorkspaceError,
    SettingsError,
    ValueError,
)
