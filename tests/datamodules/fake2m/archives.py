"""Split archives for tests, with the irregularities of the published data set."""

import io
import tarfile

import numpy as np
from PIL import Image
from webdataset import tariterators


def encoded(codec, seed=0, size=(24, 16), **options):
    levels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format=codec, **options)
    return buffer.getvalue()


FILES = {
    "IF-CC95K/IF-dpmsolver++-10-15K/7.png": encoded("PNG", 1),
    "IF-CC95K/IF-dpmsolver++-10-15K/8.png": encoded(
        "JPEG", 2, quality=100, subsampling=0
    ),  # JPEG by another name
    "IF-CC95K/IF-dpmsolver++-10-15K/9.png": encoded("WEBP", 3),
    "IF-CC95K/IF-CC95K/IF-ddim-25-15K/7.png": encoded("PNG", 4),  # nested once more
    "IF-CC95K/IF-ddim-25-15K/v1.5_001.png": encoded("PNG", 5),  # a dot in the name
    "IF-CC95K/IF-ddim-25-15K/v1_5_001.png": encoded("PNG", 6),  # and the name that it turns into
    "IF-CC95K/IF-ddim-25-15K/broken.png": b"\x89PNG\r\n\x1a\nnothing more",
    "IF-CC95K/readme.txt": b"hello",
}


METADATA = """FakeImageDataset/ImageData/val/IF-CC95K/IF-dpmsolver++-10-15K/7.png 0
FakeImageDataset/ImageData/val/IF-CC95K/IF-dpmsolver++-10-15K/8.png 0
FakeImageDataset/ImageData/val/IF-CC95K/IF-ddim-25-15K/7.png 0
FakeImageDataset/ImageData/val/IF-CC95K/IF-ddim-25-15K/v1.5_001.png 1
FakeImageDataset/ImageData/val/IF-CC95K/IF-ddim-25-15K/gone.png 0
"""


def split_archive(folder, files, stem="IF-CC95K.tar.gz", parts=12):
    """Write an archive in parts with unpadded numbers, whose order as text is wrong."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    folder.mkdir(parents=True, exist_ok=True)
    whole, size = buffer.getvalue(), -(-len(buffer.getvalue()) // parts)
    for number in range(parts):
        (folder / f"{stem}.{number}").write_bytes(whole[number * size : (number + 1) * size])
    return folder


def samples(folder, names="*.tar"):
    """Read all samples with WebDataset, which leaves files open that it opens itself."""
    found = []
    for path in sorted(folder.glob(names)):
        with path.open("rb") as stream:
            members = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            found += tariterators.group_by_keys(members)
    return found
