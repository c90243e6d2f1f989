"""Confidence intervals and tests of all reports, built on scipy.

Each docstring states three things:

* Unit: the thing that is sampled from a population, such as a person, a key or an image.
* Assumes: the conditions under which the interval covers, or the p-value is valid.
* Fails: the known cases in which it does not.

Intervals are None where they are undefined. They never have zero width and never leave the range
of the quantity. Functions import scipy when they are called, because loading it is slow.
"""

from engine.statistics.bootstrap import Interval, bootstrap_interval
from engine.statistics.calibration import CalibrationError, calibration_error, rms_error
from engine.statistics.conformal import conformal_bound, least_scores
from engine.statistics.crossed import (
    CrossedTest,
    crossed_difference,
    crossed_interval,
    crossed_share_interval,
    crossed_table,
    crossed_test,
)
from engine.statistics.levels import (
    holm,
    holm_of_known,
    least_keys,
    least_p_of_people,
    least_people,
)
from engine.statistics.means import PairedDifference, mean_interval, paired_difference
from engine.statistics.pairings import PairingTest, pairing_test
from engine.statistics.ranking import (
    auc_difference_interval,
    auc_interval,
    least_negatives,
    tpr_at_fpr,
)
from engine.statistics.recalls import PairedRecall, paired_recall
from engine.statistics.selection import Worst, simultaneous, worst_of
from engine.statistics.shares import average_of_shares, proportion_interval, share_interval
from engine.statistics.units import clusters, first_occurrences

__all__ = [
    "CalibrationError",
    "CrossedTest",
    "Interval",
    "PairedDifference",
    "PairedRecall",
    "PairingTest",
    "Worst",
    "auc_difference_interval",
    "auc_interval",
    "average_of_shares",
    "bootstrap_interval",
    "calibration_error",
    "clusters",
    "conformal_bound",
    "crossed_difference",
    "crossed_interval",
    "crossed_share_interval",
    "crossed_table",
    "crossed_test",
    "first_occurrences",
    "holm",
    "holm_of_known",
    "least_keys",
    "least_negatives",
    "least_p_of_people",
    "least_people",
    "least_scores",
    "mean_interval",
    "paired_difference",
    "paired_recall",
    "pairing_test",
    "proportion_interval",
    "rms_error",
    "share_interval",
    "simultaneous",
    "tpr_at_fpr",
    "worst_of",
]
