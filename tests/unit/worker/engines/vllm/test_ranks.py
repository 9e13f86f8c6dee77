from contextlib import ExitStack

import pytest

from axon.rendezvous import most_load, ranked
from worker.engines.vllm.ranks import Ranks


def test_ranks_keep_a_conversation_on_its_rank() -> None:
    ranks = Ranks(4)
    for number in range(50):
        conversation = f"conv_{number}"
        for _ in range(2):
            with ranks.assigned(conversation) as rank:
                assert rank == int(ranked(conversation, "0123")[0])


def test_ranks_use_all_ranks() -> None:
    ranks = Ranks(4)
    assigned = set()
    for number in range(50):
        with ranks.assigned(f"conv_{number}") as rank:
            assigned.add(rank)
    assert assigned == {0, 1, 2, 3}


@pytest.mark.parametrize("count", [2, 3, 8])
def test_ranks_bound_the_load_of_each_rank(count: int) -> None:
    ranks = Ranks(count)
    assigned: list[int] = []
    with ExitStack() as stack:
        for number in range(1, 101):
            rank = stack.enter_context(ranks.assigned("conv"))
            assert rank is not None
            assigned.append(rank)
            assert max(map(assigned.count, range(count))) <= most_load(number, count)
    # Its own first, and that again as soon as all have gone.
    with ranks.assigned("conv") as rank:
        assert rank == assigned[0] == int(ranked("conv", map(str, range(count)))[0])


def test_ranks_release_the_place_of_a_failed_request() -> None:
    ranks = Ranks(2)
    for _ in range(20):
        with pytest.raises(ValueError, match="failed"), ranks.assigned("conv") as rank:
            assert rank == int(ranked("conv", "01")[0])
            raise ValueError("failed")


@pytest.mark.parametrize(("count", "conversation"), [(1, "conv"), (4, "")])
def test_ranks_leave_the_choice_to_vllm(count: int, conversation: str) -> None:
    with Ranks(count).assigned(conversation) as rank:
        assert rank is None
