"""What the network makes of the digits in a picture, and how it is printed."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

DOUBTFUL_MARGIN = 0.5  # between the probabilities of the digit and of its runner-up
MOST_ROWS = 60  # of a table on the screen
HEAD = ("picture", "reads", "probability in %", "runner-up", "its probability in %")
CSV_FIELDS = (
    "picture", "number", "digit", "probability", "runner_up", "runner_up_probability", "doubtful",
    "line", "left", "top", "right", "bottom", "label",
)  # fmt: skip


class Answer(NamedTuple):
    """What the network makes of one digit."""

    digit: int
    probability: float
    runner_up: int
    runner_up_probability: float

    @property
    def is_doubtful(self) -> bool:
        """Whether the runner-up is so near that a person should look."""
        return self.probability - self.runner_up_probability < DOUBTFUL_MARGIN


class Reading(NamedTuple):
    """What was found in one picture."""

    name: str
    path: Any  # Path of the picture; None for an image of a table
    label: int | None
    images: Sequence[np.ndarray]  # of the digits: float32 (28, 28)
    boxes: Sequence[tuple[int, int, int, int] | None]  # left, top, right, bottom in the picture
    lines: Sequence[int]  # in which line each digit stands; 0 is the top one
    probabilities: np.ndarray  # float32 (n_digits, n_classes)

    @property
    def answers(self) -> list[Answer]:
        """An answer per digit, in reading order."""
        return [answer_of(row) for row in self.probabilities]

    @property
    def is_wrong(self) -> bool:
        """Whether the picture has a label and is not read as it."""
        digits = [answer.digit for answer in self.answers]
        return self.label is not None and digits != [self.label]

    @property
    def needs_a_look(self) -> bool:
        """Whether a person should look at it."""
        return not self.answers or self.is_wrong or any(one.is_doubtful for one in self.answers)


def printable(name: str) -> str:
    """Return a name without line breaks and control characters, which would move the cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def answer_of(probabilities: np.ndarray) -> Answer:
    """Return the answer of one digit from its class probabilities, float (n_classes,)."""
    first, second = np.argsort(probabilities, kind="stable")[::-1][:2]
    return Answer(
        int(first), float(probabilities[first]), int(second), float(probabilities[second])
    )


def as_table(readings: Sequence[Reading]) -> str:
    """Return a table for the screen, a row per line of digits; of many, those that need a look.

    A row of several digits gives the probabilities of the least certain one.
    """
    shown, remark = list(readings), ""
    if sum(len(set(one.lines)) or 1 for one in readings) > MOST_ROWS:
        shown = [one for one in readings if one.needs_a_look][:MOST_ROWS]
        remark = (
            f"\n({len(shown)} of {len(readings):,}: those that are wrong, doubtful or empty. "
            "--csv prints all.)"
        )
    rows = [row for reading in shown for row in _rows(reading)]
    widths = [max(len(row[k]) for row in (HEAD, *rows)) for k in range(len(HEAD))]
    lines = [_line(HEAD, widths), *(_line(row, widths) for row in rows)]
    return "\n".join(lines) + remark


def _rows(reading: Reading) -> list[tuple[str, ...]]:
    """Return the table's rows of one picture, one per line of digits."""
    if not reading.answers:
        return [(printable(reading.name), "no digit found", "", "", "")]
    rows = []
    for number in sorted(set(reading.lines)):
        answers = [
            answer
            for answer, line in zip(reading.answers, reading.lines, strict=True)
            if line == number
        ]
        least = min(answers, key=lambda answer: answer.probability)
        reads = "".join(f"{one.digit}{'?' if one.is_doubtful else ''}" for one in answers)
        truth = f" (not {reading.label})" if reading.is_wrong else ""
        rows.append(
            (
                "" if rows else printable(reading.name),
                reads + truth,
                f"{100 * least.probability:.2f}",
                str(least.runner_up),
                f"{100 * least.runner_up_probability:.2f}",
            )
        )
    return rows


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line of a table: words to the left, numbers to the right."""
    aligned = [
        f"{cell:>{width}}" if k in (2, 4) else f"{cell:<{width}}"
        for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "   ".join(aligned).rstrip()


def as_records(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """Return what --json prints: a record per picture."""
    records = []
    for reading in readings:
        digits = [
            {**answer._asdict(), "doubtful": answer.is_doubtful, "line": line, "box": box}
            for answer, line, box in zip(reading.answers, reading.lines, reading.boxes, strict=True)
        ]
        record = {"picture": str(reading.path or reading.name), "digits": digits}
        records.append(record | ({} if reading.label is None else {"label": reading.label}))
    return records


def as_json(readings: Sequence[Reading]) -> str:
    """Return the records as JSON."""
    return json.dumps(as_records(readings), indent=2)


def as_csv(readings: Sequence[Reading]) -> str:
    """Return a row per digit as CSV; a picture without a digit has a row of its own."""
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for record in as_records(readings):
        common = {"picture": record["picture"], "label": record.get("label", "")}
        for number, digit in enumerate(record["digits"] or [{}]):
            sides = zip(
                ("left", "top", "right", "bottom"), digit.pop("box", None) or (), strict=False
            )
            writer.writerow({**common, "number": number if digit else "", **digit, **dict(sides)})
    return text.getvalue()
