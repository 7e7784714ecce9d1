import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.architecture import MOST_FILTERS, Architecture, chain_name

odd = st.integers(0, 49).map(lambda half: 2 * half + 1)


def test_the_paper_s_network_is_what_it_was() -> None:
    network = Architecture("9-5-5")
    assert network.kernels == (9, 5, 5)
    assert network.filters == (64, 32, 1)
    assert network.shapes["conv3.weight"] == (1, 32, 5, 5)
    assert list(network.shapes) == [
        *("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"),
        *("conv3.weight", "conv3.bias"),
    ]


def test_vdsr_is_twenty_layers_that_see_41_pixels() -> None:
    network = Architecture("vdsr")
    assert network.name == "vdsr"
    assert network.kernels == (3,) * 20
    assert network.filters == (64,) * 19 + (1,)
    assert 2 * network.halo + 1 == 41
    assert Architecture("-".join("3" * 20) + ":" + "-".join(["64"] * 19)).name == "vdsr"


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("9-5-5:64-32", "9-5-5"),
        ("9-1-1-5:64-32-32", "9-1-1-5"),
        ("9-1-1-5:64-32-16", "9-1-1-5:64-32-16"),
        ("09-05-5", "9-5-5"),
        ("9-5:64", "9-5"),
    ],
)
def test_every_spelling_of_a_chain_has_one_name(spelt: str, name: str) -> None:
    assert Architecture(spelt).name == name
    assert Architecture(spelt) == Architecture(name)


@given(st.data(), st.lists(odd, min_size=2, max_size=12))
def test_a_name_says_all_of_a_chain(data: st.DataObject, kernels: list[int]) -> None:
    count = len(kernels) - 1
    filters = data.draw(st.lists(st.integers(1, MOST_FILTERS), min_size=count, max_size=count))
    network = Architecture(chain_name(kernels, filters))
    assert network.kernels == tuple(kernels)
    assert network.filters == (*filters, 1)
    assert chain_name(network.kernels, network.filters[:-1]) == network.name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("9-4-5", "the second kernel, 4, is even"),
        ("9-5-5:64-0", "the second filter count, 0, is not from 1 to 4096"),
        ("9-5-5:64", "1 filter count.s. behind the colon, where 3 layers need 2"),
        ("9-5-5:64-32-1", "3 filter count.s. behind the colon, where 3 layers need 2"),
        ("9--5", "the second kernel, '', is no whole number"),
        ("9-x-5", "the second kernel, 'x', is no whole number"),
        ("9-5-5:", "the first filter count, '', is no whole number"),
        ("9-5-5:64:32", "the first filter count, '64:32', is no whole number"),
        ("9", "1 layer.s., and 2 to 100 are possible"),
        ("1-1-1-1-101", "the 5th kernel, 101, is not from 1 to 99"),
        ("9-5-5:5000-32", "the first filter count, 5000, is not from 1 to 4096"),
        ("٩-5-5", "the first kernel, '٩', is no whole number"),
        ("VDSR", "the first kernel, 'VDSR', is no whole number"),
        (" 9-5-5", "the first kernel, ' 9', is no whole number"),
        ("-".join(["3"] * 101), "101 layer.s."),
    ],
)
def test_what_is_no_chain_is_refused_with_the_place(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=f"is none: (it has )?{says}.*; give odd kernel sizes"):
        Architecture(name)


def test_an_unknown_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="unknown padding 'mirror'; choose from none, replicate"):
        Architecture(padding="mirror")
