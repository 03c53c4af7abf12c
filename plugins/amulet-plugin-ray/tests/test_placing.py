import pytest

from amulet_plugin_ray.messages import Need
from amulet_plugin_ray.placing import at_most, has_place, needed, room_for, workplaces

SMALL = {"CPU": 2.0, "memory": 4e9}
LARGE = {"CPU": 8.0, "GPU": 1.0, "memory": 64e9}


@pytest.mark.parametrize(
    ("need", "fits"),
    [
        (Need(cpus=1), True),
        (Need(cpus=8, gpus=1, memory=64 * 10**9), True),
        (Need(cpus=2, gpus=0.5), True),
        (Need(cpus=9), False),
        (Need(cpus=1, gpus=2), False),
        (Need(cpus=1, memory=65 * 10**9), False),
    ],
)
def test_a_job_has_a_place_where_one_node_has_all_it_needs(need, fits):
    assert has_place(need, [SMALL, LARGE]) is fits


def test_the_nodes_do_not_add_up():
    assert not has_place(Need(cpus=8, gpus=1), [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}])


@pytest.mark.parametrize(("threads", "room"), [(1, 36), (2, 26), (4, 20), (16, 16)])
def test_there_is_room_for_twice_what_can_run_and_for_a_node_that_joins(threads, room):
    assert room_for([SMALL, LARGE], threads=threads) == room


def test_dead_nodes_and_those_without_a_cpu_do_no_work():
    nodes = [
        {"Alive": True, "Resources": SMALL},
        {"Alive": False, "Resources": LARGE},
        {"Alive": True, "Resources": {"GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 0.0}},
    ]
    assert workplaces(nodes) == nodes[:1]


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (Need(cpus=1), "1 CPU"),
        (Need(cpus=2, gpus=0.5), "2 CPUs and 0.5 GPUs"),
        (Need(cpus=2, gpus=1, memory=1_500_000_000), "2 CPUs, 1 GPU and 1.5 GB of memory"),
    ],
)
def test_a_need_is_said_in_words(need, words):
    assert needed(need) == words


def test_what_nodes_have_is_said_in_words():
    assert at_most([SMALL, LARGE]) == "8 CPUs, 1 GPU and 64 GB of memory"
    assert at_most([]) == "0 CPUs, 0 GPUs and 0 GB of memory"
