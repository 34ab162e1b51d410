"""Test results in JUnit's XML, as build servers read it."""

from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from alerts.promtool import CaseResult


def write_junit(results: Sequence[CaseResult]) -> str:
    """Write results as one suite per test file, one case per story; durations in seconds."""
    root = Element("testsuites")
    for file, grouped in groupby(results, key=lambda result: result.case.file):
        of_file = list(grouped)
        suite = SubElement(
            root,
            "testsuite",
            name=file.stem,
            tests=str(len(of_file)),
            failures=str(sum(not result.passed for result in of_file)),
            time=f"{sum(result.duration_s for result in of_file):.3f}",
        )
        for result in of_file:
            case = SubElement(
                suite,
                "testcase",
                classname=file.stem,
                name=result.case.name,
                time=f"{result.duration_s:.3f}",
            )
            if not result.passed:
                SubElement(case, "failure", message="promtool").text = result.output
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"
