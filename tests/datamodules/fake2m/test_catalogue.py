"""Table of Fake2M and MPBench."""

from datamodules.fake2m.catalogue import columns, groups
from datamodules.fake2m.origin import slug


def test_the_table_of_the_data_set():
    assert columns() == [
        *("SD-V2.1-dpms-25", "SD-V1.5-dpms-25", "SD-V1.5Real-dpms-25"),
        *("IF-dpms++-10", "IF-dpms++-25", "IF-dpms++-50", "IF-ddim-50", "IF-ddpm-50"),
        *("Cogview2", "Midjourney", "StyleGAN3"),
    ]
    assert (
        sum(
            subset.count
            for group in groups().values()
            if group.split == "train"
            for subset in group.subsets
        )
        == 2_087_300
    )
    assert all(
        group.images.startswith("hf://datasets/InfImagine/FakeImageDataset/ImageData/")
        for group in groups().values()
    )
    assert slug("v1.5 x/y") == "v1-5-x-y"
