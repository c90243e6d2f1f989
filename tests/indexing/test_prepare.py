"""indexing prepare."""

import shutil

from tests.indexing.commands import indexing


def test_disc_is_laid_out(tmp_path, references, capsys):
    data = tmp_path / "disc"
    for folder, letter in (("references", "R"), ("train", "T")):
        (data / folder).mkdir(parents=True)
        for number in range(6):
            shutil.copy(references / "0000.png", data / folder / f"{letter}{number:06d}.png")
    (data / "dev_queries_groundtruth.csv").write_text(
        "query_id,reference_id\nQ0,R000002\nQ1,\nQ2,R000004\nQ3,R000002\n"
    )
    for _ in range(2):  # it can be run again
        assert indexing("prepare", data, "-o", tmp_path / "out", "--queries=3") == 0
        assert (
            "2 in references_10k, 4 in references_990k, 3 in queries_40k" in capsys.readouterr().out
        )
    links = sorted((tmp_path / "out" / "references_10k").iterdir())
    assert [link.name for link in links] == ["R000002.png", "R000004.png"]
    assert all(link.is_symlink() and link.is_file() for link in links)
    (data / "dev_queries_groundtruth.csv").write_text("Q0,R9\n")
    assert indexing("prepare", data, "-o", tmp_path / "out2") == 2
    assert "the first is R9" in capsys.readouterr().err
