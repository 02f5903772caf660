"""Reads OpenMetrics text from standard input as Prometheus' own parser does, which
is strict: one name that two metrics could show, and it refuses all of it."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

# Bytes, as a monitor gets them: no line end is changed on the way.
text = sys.stdin.buffer.read().decode("utf-8")
try:
    families = list(text_string_to_metric_families(text))
except ValueError as problem:
    sys.exit(f"error: this is not OpenMetrics: {problem}")
print(f"{len(families)} metrics, {sum(len(family.samples) for family in families)} samples")
