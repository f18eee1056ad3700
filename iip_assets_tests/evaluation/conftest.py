from iip_assets_tests.models.conftest import tiny_backbone

__all__ = ["tiny_backbone"]
