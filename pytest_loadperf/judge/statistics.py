"""What numbers can show, and what they can't."""

from __future__ import annotations


def failure_rate_bound(failures: int, requests: int, confidence: float = 0.95) -> float:
    """The failure rate (0 to 1) that so many failures do not exclude: Clopper and Pearson's one-sided upper bound.

    0 failures of 50 requests leave 5.8 % possible; without requests nothing is excluded.
    """
    if not 0 <= failures <= requests:
        raise ValueError(f"{failures} failures of {requests} requests: expected 0 to {requests}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; expected more than 0 and less than 1")
    if failures == requests:  # also without any
        return 1.0
    if failures == 0:
        return float(1 - (1 - confidence) ** (1 / requests))
    from scipy.special import betaincinv  # a quarter of a second, which a load without failures need not take

    return float(betaincinv(failures + 1, requests - failures, confidence))
