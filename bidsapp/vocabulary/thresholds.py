"""The thresholds of the group level: one row a threshold, in the order in which they are shown."""

from dataclasses import dataclass

from bidsapp.vocabulary.statistics import STATISTICS

# Between the peaks of a cluster that tables list, as in those of SPM and nilearn.
MIN_DISTANCE_MM = 8.0


@dataclass(frozen=True, slots=True)
class ThresholdWords:
    """How a threshold is called, and what it is.

    Attributes
    ----------
    name : str
        In files (``desc-``), records and tables.
    flag : str
        As ``--main-threshold`` takes it.
    controls : {"FWE", "FDR", "TDP", "none"}
        The error that it controls: family-wise, false discoveries, or the share of active voxels.
    column : str or None
        Of its own p or q, the only one in its tables.
    needs : {"shuffles", "smoothness", ""}
    statistic : str or None
        The statistic of the map whose maximum it goes by.
    is_written : bool
        Whether the map of what survives is written: it is no plain cut-off of a map that is there.
    is_formed : bool
        Whether its clusters are formed at the cluster-forming p.
    cites : str or None
        The work that the methods text cites.
    short : str
        In a word or two, for lists.
    """

    name: str
    flag: str
    controls: str
    column: str | None
    needs: str = ""
    statistic: str | None = None
    is_written: bool = False
    is_formed: bool = False
    cites: str | None = None
    short: str = ""


_ROWS = (
    # The most sensitive statistic of the map comes first.
    *(
        ThresholdWords(
            row.threshold,
            row.name,
            "FWE",
            row.column,
            needs="shuffles",
            statistic=row.name,
            is_written=True,
            is_formed=row.needs == "clusters",
            cites=row.cites,
            short=row.short,
        )
        for row in reversed(STATISTICS.values())
    ),
    ThresholdWords("fdrBH", "fdr", "FDR", "q", cites="benjamini1995", short="FDR q"),
    ThresholdWords("fdrBKY", "fdr-adaptive", "FDR", "q", cites="benjamini2006", short="adaptive FDR q"),
    ThresholdWords(
        "fdrPermutation", "fdr-permutation", "FDR", "q", needs="shuffles", short="FDR q by shuffling"
    ),
    ThresholdWords("holm", "holm", "FWE", "p_fwe", cites="holm1979", short="Holm"),
    ThresholdWords("bonferroni", "bonferroni", "FWE", "p_fwe", short="Bonferroni"),
    ThresholdWords(
        "rftPeak", "rft-peak", "FWE", "p_fwe", needs="smoothness", cites="worsley1996", short="RFT height"
    ),
    ThresholdWords(
        "rftSize",
        "rft-extent",
        "FWE",
        "p_fwe",
        needs="smoothness",
        is_written=True,
        is_formed=True,
        cites="friston1994",
        short="RFT cluster size",
    ),
    ThresholdWords(
        "ari",
        "ari",
        "TDP",
        None,
        is_written=True,
        is_formed=True,
        cites="rosenblatt2018",
        short="active share > 0",
    ),
    ThresholdWords("uncorrected", "uncorrected", "none", "p", short="uncorrected"),
)
THRESHOLDS = {row.name: row for row in _ROWS}
# What is tested, as titles of thresholds say it behind a comma; of F, which has no sign, the upper tail.
TAILS = {
    "two": "two-sided",
    "positive": "one-sided, positive effects",
    "negative": "one-sided, negative effects",
}
UPPER_TAIL = "upper tail"
# Of an uncorrected p where both tails are tested.
IN_EACH_TAIL = "one-sided in each tail"
FLAGS = tuple(row.flag for row in _ROWS)
# As ``--main-threshold`` takes them: by the words of flags, or the names of their files.
BY_WORD = {row.flag: row for row in _ROWS} | THRESHOLDS


def words_of_tail(test: str, tail: str) -> str:
    """Return in which direction a test ("t", "z", "F") looks, in words."""
    return TAILS[tail] if test in ("t", "z") else UPPER_TAIL
