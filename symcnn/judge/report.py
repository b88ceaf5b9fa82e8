"""What the judge says: one verdict per comparison, and all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

from symcnn.lazy import cached_property
from symcnn.shown import Shown, assignment

#: What is compared, in the order of the report.
CHECKS = {
    "parameters": "the number of elements in all parameters",
    "outputs": "the shapes that come out, inside the domain",
    "modules": "the shapes that come out of every module call",
    "refusals": "sizes outside the domain are refused by torch too",
    "flops": "FLOPs of the forward pass, as torch.utils.flop_counter counts on meta",
    "saved": "bytes that autograd keeps in a forward pass, on CPU, at the first sizes",
    "peak": "bytes alive at the worst moment of inference: torch keeps no less",
    "receptive field": "which inputs each output reads, by changing one at a time; by gradient",
    "repeat": "the forward gives the same shapes when it runs again",
}


@dataclass(frozen=True, slots=True)
class Check(Shown):
    """One comparison at one size."""

    what: str  # of CHECKS
    verdict: str  # passed, failed or skipped
    sizes: Mapping[str, int]
    where: str = ""  # the module call, "" for the network's output
    ours: str = ""
    torch: str = ""
    why: str = ""  # the reason, if skipped; what else was measured

    def __str__(self) -> str:
        place = f" of {self.where}" if self.where else ""
        at = f" at {assignment(self.sizes)}" if self.sizes else ""
        if self.verdict == "skipped":
            return f"{self.what}{place}{at}: skipped, {self.why}"
        if self.verdict == "passed":
            return f"{self.what}{place}{at}: passed{', ' + self.why if self.why else ''}"
        return f"{self.what}{place}{at}: symcnn says {self.ours}, torch {self.torch}"


@dataclass(frozen=True)
class Report(Shown):
    """What came of a validation; true if nothing failed.

    `counterexample` is the first failure, at the smallest sizes at which it still fails.
    """

    device: str
    seed: int
    torch: str  # its version
    checks: tuple[Check, ...]
    counterexample: Check | None = None
    dtype: str = ""  # what module and inputs were cast to, "" if they stayed
    channels_last: bool = False

    def __bool__(self) -> bool:
        return not self.failed

    def _of(self, verdict: str) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.verdict == verdict)

    @cached_property
    def passed(self) -> tuple[Check, ...]:
        """The comparisons that agree."""
        return self._of("passed")

    @cached_property
    def failed(self) -> tuple[Check, ...]:
        """The comparisons that do not."""
        return self._of("failed")

    @cached_property
    def skipped(self) -> tuple[Check, ...]:
        """What could not be compared, and why."""
        return self._of("skipped")

    def __str__(self) -> str:
        cast = f" in {self.dtype}" if self.dtype else ""
        cast += ", channels last" if self.channels_last else ""
        lines = [f"validated on {self.device}{cast}, torch {self.torch}, seed {self.seed}"]
        for what, meaning in CHECKS.items():
            counts = Counter(c.verdict for c in self.checks if c.what == what)
            if counts:
                told = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
                lines.append(f"  {what}: {told}  ({meaning})")
        lines += [f"{c}" for c in self.passed if c.what == "peak" and c.why]
        reasons = Counter(f"{c.what}: {c.why}" for c in self.skipped)
        lines += [f"skipped {n}x {reason}" for reason, n in reasons.items()]
        if self.counterexample is not None:
            lines.append(f"FAILED, smallest counterexample: {self.counterexample}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """Everything as plain values, for JSON."""
        return {
            "valid": bool(self),
            "device": self.device,
            "dtype": self.dtype,
            "channels_last": self.channels_last,
            "torch": self.torch,
            "seed": self.seed,
            "passed": len(self.passed),
            "failed": [asdict(c) for c in self.failed],
            "skipped": [asdict(c) for c in self.skipped],
            "counterexample": None if self.counterexample is None else asdict(self.counterexample),
            "checks": [
                {"what": c.what, "verdict": c.verdict, "sizes": dict(c.sizes)}
                | ({"ours": c.ours, "torch": c.torch, "why": c.why} if c.what == "peak" else {})
                for c in self.checks
            ],
        }

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_junit(self) -> str:
        """JUnit XML, one test case per comparison, for CI servers."""
        suite = ElementTree.Element(
            "testsuite",
            name="symcnn validate",
            tests=str(len(self.checks)),
            failures=str(len(self.failed)),
            errors="0",
            skipped=str(len(self.skipped)),
        )
        for check in self.checks:
            name = f"{check.what} {assignment(check.sizes)}".strip()
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"symcnn.{self.device}", name=name
            )
            if check.verdict == "failed":
                ElementTree.SubElement(case, "failure", message=str(check))
            elif check.verdict == "skipped":
                ElementTree.SubElement(case, "skipped", message=check.why)
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
