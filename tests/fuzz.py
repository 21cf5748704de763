"""The tests of what comes from outside, with cases that follow the code's branches: `python tests/fuzz.py TEST`.

Needs `pip install atheris`. TEST is the name of one in test_untrusted.py; what else is given, such as -runs=100000 or
-max_total_time=60, goes to libFuzzer.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["pytest_loadperf"]):
    import test_untrusted

_, name, *options = sys.argv
atheris.Setup([name, *options], getattr(test_untrusted, name).hypothesis.fuzz_one_input)
atheris.Fuzz()
