"""The draw of a participant's questions."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.human.design import draw
from eval.human.pictures import Stimulus

pytest.importorskip(
    "starlette", reason="the pages' libraries are not installed (make install-pages)"
)
pytest.importorskip("httpx", reason="the pages' libraries are not installed (make install-pages)")


from tests.eval.human_study import LABELS, design


@settings(max_examples=40)
@given(
    st.integers(0, 1000), st.integers(1, 9), st.dictionaries(st.integers(0, 39), st.integers(0, 5))
)
def test_draws_are_even_over_labels_and_categories(seed, number, shown):
    stimuli = [
        Stimulus(Path(f"{i}"), ("real", "generated")[i % 2], f"c{i // 2 % 4}", f"{i}")
        for i in range(40)
    ]
    questions = draw(design(number=number), stimuli, shown, np.random.default_rng(seed))
    picked = [question[0] for question in questions]
    assert len(set(picked)) == len(picked) == 2 * number
    for label in LABELS:
        mine = Counter(stimuli[index].category for index in picked if stimuli[index].label == label)
        assert sum(mine.values()) == number
        assert max(mine.values()) - min(mine[f"c{i}"] for i in range(4)) <= 1
        for (
            index
        ) in picked:  # nothing more often shown was taken while a rarer one of its kind waited
            kind = [
                i
                for i, s in enumerate(stimuli)
                if (s.label, s.category) == (stimuli[index].label, stimuli[index].category)
            ]
            assert all(shown.get(index, 0) <= shown.get(i, 0) for i in kind if i not in picked)
