"""Mistakes end in one line, whichever process they happen in."""

import pytest
from torch.utils.data import DataLoader, Dataset

from engine.cli import one_line, run


class Faulty(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        try:
            raise KeyError(index)
        except KeyError as error:
            msg = "a.tar, 7:\n  no record with a label; write the shards again"
            raise ValueError(msg) from error


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_loader_process_is_as_short_as_one_of_our_own(workers, capsys):
    assert run(lambda _: len(list(DataLoader(Faulty(), num_workers=workers))), []) == 2
    assert capsys.readouterr().err == "error: a.tar, 7: no record with a label; write the shards again\n"


def test_other_messages_stay_whole():
    assert one_line(ValueError("KeyError: what a file\n says: x")) == "KeyError: what a file says: x"
