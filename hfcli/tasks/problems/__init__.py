"""What is to be told of a text: one label, any number of labels, or a number.

One file a problem type, and its class in `PROBLEMS`; names are transformers'.
"""

from __future__ import annotations

from hfcli.tasks.problems.base import Problem, check_model
from hfcli.tasks.problems.multi_label import MultiLabel
from hfcli.tasks.problems.regression import Regression
from hfcli.tasks.problems.single_label import SingleLabel

__all__ = ["PROBLEMS", "Problem", "check_model"]

PROBLEMS: dict[str, type[Problem]] = {
    cls.name: cls for cls in (SingleLabel, MultiLabel, Regression)
}
