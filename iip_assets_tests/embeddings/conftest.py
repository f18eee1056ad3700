import pytest

from iip_assets.embeddings.backbone import PACKAGED_MODEL


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    from iip_assets.embeddings.backbone import build_backbone

    return build_backbone(
        PACKAGED_MODEL,
        checkpoint="packaged",
        checkpoint_sha256="",
        root=tmp_path_factory.mktemp("workspace"),
    )
