from suite.compare import comparison
from suite.results import Results, Sample
from suite.table import number, render, table
from suite.targets import judge


def loads(sterna, uvicorn, case="echo-64-c32"):
    """Results with one sample a round for each of the two servers: (req/s, p50, p99)."""
    results = Results()
    for name, rounds in (("sterna", sterna), ("uvicorn", uvicorn)):
        for index, (rate, p50, p99) in enumerate(rounds):
            results.add(Sample(case, name, index, "req/s", rate, p50, p99))
    return results


def verdicts(results):
    return {(v.target.case, v.target.server): (round(v.value, 3), v.passed) for v in judge(results)}


def test_numbers_keep_three_digits_that_matter():
    words = [number(value) for value in (0.0814, 4.213, 34.46, 512.4, 12345.6)]
    assert words == ["0.081", "4.21", "34.5", "512", "12,346"]


def test_the_ratio_is_taken_within_rounds_not_between_medians():
    # The machine slows down threefold in the second round, for both alike.
    results = loads([(30, 1, 2), (10, 1, 2), (30, 1, 2)], [(20, 1, 2), (5, 1, 2), (20, 1, 2)])
    assert verdicts(results)[("echo-64-c32", "uvicorn")] == (1.5, True)


def test_a_target_just_missed_falls_short_and_the_table_says_so():
    results = loads([(149, 1, 6)], [(100, 1, 2)])
    assert verdicts(results) == {("echo-64-c32", "uvicorn"): (1.49, False), ("echo-64-c32", "sterna"): (6, False)}
    assert table(results, judge(results)).count("FALLS SHORT") == 2


def test_cold_start_targets_use_percentiles_of_all_samples():
    results = Results()
    for index in range(40):
        results.add(Sample("cold-start", "sterna", index, "ms", 100 if index == 39 else 30))
        results.add(Sample("cold-start", "python3 -c pass", index, "ms", 50))
    found = verdicts(results)
    assert found[("cold-start", "python3 -c pass")] == (0.6, True)
    assert found[("cold-start", "sterna")] == (3.333, False)


def test_each_template_has_targets_of_its_own():
    results = Results()
    for row, rate in (("sterna-cpp", 99), ("nginx", 100), ("sterna-http", 45), ("nginx+node:http", 50)):
        results.add(Sample("echo-64-c256", row, 0, "req/s", rate, 1, 2))
    assert verdicts(results) == {("echo-64-c256", "nginx"): (0.99, False),
                                 ("echo-64-c256", "nginx+node:http"): (0.9, True)}


def test_cold_starts_of_two_templates_are_held_against_the_same_interpreter():
    results = Results()
    for row, ms in (("sterna-node", 21), ("sterna-cpp", 12), ("node -e 0", 40)):
        results.add(Sample("cold-start", row, 0, "ms", ms))
    assert verdicts(results) == {("cold-start", "sterna-node"): (0.525, False),
                                 ("cold-start", "sterna-cpp"): (0.3, True)}


def test_limits_are_included():
    results = Results()
    results.add(Sample("memory-idle", "sterna", 0, "MiB", 25))
    results.add(Sample("memory-replica", "sterna", 0, "MiB", 4.01))
    assert verdicts(results) == {("memory-idle", "sterna"): (25, True), ("memory-replica", "sterna"): (4.01, False)}


def test_what_was_not_measured_has_no_verdict():
    assert judge(Results()) == []


def test_table_shows_medians_spreads_latencies_and_ratios():
    ours = [(3000, 1.5, 3), (5000, 2.5, 5), (4000, 2, 4)]
    text = table(loads(ours, [(1000, 8, 16), (2000, 9, 17), (2000, 7, 15)]), [])
    ours, theirs = text.splitlines()[2:]
    assert "4,000" in ours and "3,000 – 5,000" in ours and "2.000" in ours and "4.000" in ours and "x" not in ours
    assert "2.50x" in theirs and "2.00 – 3.00" in theirs


def test_different_units_have_no_ratio():
    results = loads([(3000, 1.5, 3)], [])
    results.add(Sample("echo-64-c32", "sterna, backlog", 0, "calls", 10))
    assert "x" not in table(results, []).splitlines()[-1]


def test_columns_line_up_and_cases_are_set_apart():
    text = render(("case", "n"), [("a", "1"), ("a", "100"), ("long one", "7")], {0})
    assert text.splitlines() == ["case        n", "--------  ---", "a           1", "a         100", "",
                                 "long one    7"]


def test_comparison_holds_ratios_beside_ratios():
    old, new = loads([(30, 1, 2)], [(20, 1, 2)]), loads([(10, 1, 2)], [(5, 1, 2)])
    line = comparison(old, new).splitlines()[-1].split()
    assert line == ["echo-64-c32", "sterna", "/", "uvicorn", "1.50", "2.00", "1.33x"]


def test_comparison_keeps_absolute_numbers_that_do_not_swing():
    old, new = Results(), Results()
    old.add(Sample("instructions-c1", "sterna", 0, "instr/req", 20000))
    new.add(Sample("instructions-c1", "sterna", 0, "instr/req", 15000))
    assert comparison(old, new).splitlines()[-1].endswith("20,000  15,000    0.75x")


def test_comparison_of_different_things_says_so():
    assert "nothing in common" in comparison(Results(), loads([(1, 1, 1)], [(1, 1, 1)]))
