"""Fixtures of the tests of Fake2M."""

import pytest

from tests.datamodules.fake2m.archives import FILES, METADATA, split_archive


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "metadata.csv").write_text(METADATA)
    return split_archive(tmp_path / "parts", FILES)
