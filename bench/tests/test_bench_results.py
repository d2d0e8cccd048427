import pytest

from suite import results as store
from suite.results import Results, Sample


def test_what_is_written_is_read_back(tmp_path):
    results = Results(meta={"name": "today", "commit": "abc"})
    results.add(Sample("echo-64-c1", "nginx", 0, "req/s", 1000.5, 0.1, 0.2))
    results.add(Sample("memory-idle", "sterna", 0, "MiB", 20.0))
    path = tmp_path / "folder" / "today.jsonl"
    store.write(results, path)
    again = store.read(path)
    assert (again.meta, again.samples) == (results.meta, results.samples)


@pytest.mark.parametrize("text", ["not json\n", "[]\n", '{"kind": "other"}\n', '{"kind": "sample", "case": "a"}\n'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError):
        store.read(path)


def test_cases_and_servers_keep_the_order_of_measuring():
    results = Results()
    for case, server in (("b", "two"), ("b", "one"), ("a", "one"), ("b", "two")):
        results.add(Sample(case, server, 0, "ms", 1))
    assert results.cases() == ["b", "a"]
    assert results.servers("b") == ["two", "one"]
