import pytest

from scripts.data import rank_share, sharing
from scripts.errors import InputError


def test_every_case_is_some_process_s_and_none_waits_in_vain(monkeypatch):
    shares = {}
    for rank in range(3):
        monkeypatch.setattr(sharing, "rank_and_size", lambda rank=rank: (rank, 3))
        shares[rank] = [*rank_share(range(4))]
        assert not rank_share([])
        with pytest.raises(InputError, match="2 validation cases are too few for 3 processes"):
            rank_share(range(2))
    assert shares == {0: [0, 3], 1: [1], 2: [2]}
