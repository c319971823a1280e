"""Test samples that are training samples too are counted and told."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sortnet.data import DataSet, Split
from sortnet.data.repeated import count_repeated
from sortnet.data.sets import load

SAMPLES = st.lists(st.integers(0, 5), min_size=1, max_size=20)


@given(SAMPLES, SAMPLES, st.booleans())
def test_each_test_sample_is_looked_for_among_the_training_samples(train, test, floats):
    def split(values):
        x = np.array([[v, v // 2] for v in values], np.uint8)
        return Split(x / np.float32(8) if floats else x, np.zeros(len(x), np.int64))

    data = DataSet("d", split(train), split(test), 2)
    assert count_repeated(data) == sum(value in train for value in test)


def test_loading_says_it(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1.5,x\n2.5,y\n" * 10)
    notes = load("t.csv", tmp_path, target="b").notes
    assert notes[-1].startswith("4 of 4 test samples have the values of training samples")
    x = np.random.default_rng(0).random((30, 4))
    arrays = {"x_train": x, "y_train": np.arange(30) % 2, "y_test": np.arange(9) % 2}
    np.savez(tmp_path / "d.npz", **arrays, x_test=np.concatenate([x[:2], x[:7] / 2]))
    assert load("d.npz", tmp_path).notes == (
        "2 of 9 test samples have the values of training samples: results say less about unseen "
        "ones",
    )
    np.savez(tmp_path / "d.npz", **arrays, x_test=x[:9] / 2)
    assert load("d.npz", tmp_path).notes == ()
