"""The toy world's own listing: any file gives splits and labels, or one error that names it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtse_core.data.listing import part_of, read_toy, videos_of


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("toy") / "toy_world.json"


def test_splits_and_labels_are_read(path):
    entries = [[1, "A  Dog", "action", 2], ["4", "it", "relation", 0]]
    path.write_text(json.dumps({"splits": {"val": ["a"], "test": []}, "sentences": {"a": entries}}), encoding="utf-8")
    splits, labels = read_toy(path)
    assert splits == {"val": ["a"], "test": []} and videos_of("val", "ab", splits, path) == ["a"]
    assert labels == {("a", 1, "a dog"): ("action", 2), ("a", "4", "it"): ("relation", 0)}
    with pytest.raises(ValueError, match="unknown split 'train'; .* has val, test .*has finer ones.*: --split NAME"):
        part_of("train", (), splits, "test", path.parent)


def test_without_a_listing_there_is_nothing(tmp_path):
    assert read_toy(tmp_path / "toy_world.json") == (None, {})


value = st.recursive(
    st.none() | st.integers(-1, 3) | st.floats() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=6,
)
entry = st.tuples(
    st.integers(0, 2) | st.text("0", max_size=1), st.text("a ", max_size=2), st.just("action"), st.integers(0, 2)
)
listing = st.fixed_dictionaries(
    {
        "splits": st.dictionaries(st.just("val"), st.lists(st.text("ab", max_size=1), max_size=2)) | value,
        "sentences": st.dictionaries(st.text("ab", max_size=1), st.lists(entry, max_size=2), max_size=2) | value,
    }
)


@given(toy=listing | value, cut=st.none() | st.integers(0, 60))
def test_any_json_is_a_listing_or_a_clear_error(path, toy, cut):
    path.write_text(json.dumps(toy)[:cut], encoding="utf-8")
    try:
        splits, labels = read_toy(path)
    except ValueError as error:
        assert str(error) == f"{path} is damaged; write the toy world again with `dtse world`"
    else:
        assert all(isinstance(video, str) for videos in splits.values() for video in videos)
        assert all(isinstance(evidence, str) and isinstance(twin, int) for evidence, twin in labels.values())
        assert cut is None or cut >= len(json.dumps(toy))
