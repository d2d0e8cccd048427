import pytest

from suite.stats import paired_ratios, percentile, spread


def test_spread_names_the_middle_and_the_ends():
    found = spread([3, 1, 2])
    assert (found.median, found.low, found.high, found.count) == (2, 1, 3, 3)


def test_spread_of_an_even_count_lies_between_the_middle_two():
    assert spread([1, 2, 4, 100]).median == 3


@pytest.mark.parametrize("percent, value", [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentile_is_the_nearest_rank(percent, value):
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_percentile_of_one_value_is_that_value():
    assert percentile([7], 1) == percentile([7], 99) == 7


@pytest.mark.parametrize("function", [spread, lambda values: percentile(values, 50)])
def test_no_values_is_an_error(function):
    with pytest.raises(ValueError):
        function([])


def test_ratios_pair_only_rounds_that_both_have():
    assert paired_ratios({0: 10, 1: 30, 2: 5}, {1: 10, 2: 10, 3: 1}) == [3, 0.5]


def test_ratios_leave_out_rounds_in_which_the_other_has_nothing():
    assert paired_ratios({0: 10, 1: 4}, {0: 0, 1: 2}) == [2]
