"""Writes the table of metrics into docs/evaluation.md, out of the metrics themselves.

python docs/make_metrics.py            writes it
python docs/make_metrics.py --check    says whether it is current
"""

import sys
from pathlib import Path

from facevc_cli.evaluation.metrics.registry import METRICS

PAGE = Path(__file__).parent / "evaluation.md"
BEGIN, END = "<!-- metrics: written by docs/make_metrics.py -->\n", "<!-- end of metrics -->\n"


def table() -> str:
    """The metrics that say what they are, in their order."""
    rows = [
        f"| {metric.name} | {metric.definition} | {metric.better} |" for metric in METRICS.values() if metric.definition
    ]
    return "\n".join(["| metric | definition | better |", "| --- | --- | --- |", *rows, ""])


def page(text: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> int:
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" in sys.argv:
        return 0 if old == new else 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
