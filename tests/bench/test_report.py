#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the report makes of known figures: medians, ratios, missing figures, the document."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import report
import run


def sample():
    figures = {"create": {"zcfs": [100, 300, 200], "peer": [50, 100, 400], "cold": [None] * 3}}
    return report.Report([("zcfs", "zcfs"), ("peer", "a peer"), ("cold", "no figure")],
                         [("create", "create", "files/s")], figures, {"kernel": "K"}, "run it")


class ReportTest(unittest.TestCase):
    def test_ratio_is_the_median_of_the_rounds_and_not_of_the_medians(self):
        # Per round 2, 3 and 0.5; the medians 200 and 100 are of different rounds.
        self.assertEqual(sample().ratio("create", "peer"), {"median": 2, "min": 0.5, "max": 3})

    def test_system_without_a_figure_has_no_ratio(self):
        self.assertIsNone(sample().ratio("create", "cold"))
        self.assertIn("| create, files/s | 200 (100..300) | 100 (50.0..400) | - |",
                      sample().markdown())

    def test_lines_where_the_base_is_behind_are_named(self):
        made = sample()
        made.figures["create"]["peer"] = [200, 600, 400]
        self.assertIn("* zcfs is behind a peer on: create (0.50).", made.verdicts())
        self.assertIn("* zcfs is behind a peer on: nothing.", sample().verdicts())

    def test_json_holds_every_round(self):
        operation = sample().json()["operations"][0]
        self.assertEqual(operation["rounds"]["peer"], [50, 100, 400])
        self.assertEqual(operation["values"]["zcfs"], {"median": 200, "min": 100, "max": 300})


class DocumentTest(unittest.TestCase):
    def test_only_what_is_between_the_markers_is_replaced(self):
        with tempfile.TemporaryDirectory() as top:
            path = os.path.join(top, "doc.md")
            with open(path, "w", encoding="utf-8") as out:
                out.write(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
            report.update_document(path, "new\n")
            with open(path, encoding="utf-8") as text:
                self.assertEqual(text.read(), f"before\n{report.BEGIN}\n\nnew\n\n"
                                              f"{report.END}\nafter\n")

    def test_markers_must_be_there_once_and_in_order(self):
        for text in ("no markers", report.BEGIN, f"{report.END}\n{report.BEGIN}",
                     f"{report.BEGIN}{report.END}{report.BEGIN}"):
            with self.assertRaises(ValueError):
                report.replace_between(text, "new")

    def test_the_document_of_this_tree_has_its_markers(self):
        with open(run.DOCUMENT, encoding="utf-8") as text:
            self.assertIn("new", report.replace_between(text.read(), "new"))


class PlanTest(unittest.TestCase):
    def test_operation_comes_with_what_makes_and_removes_its_files(self):
        self.assertEqual([(op.name, reported) for op, reported in run.plan("seq-read-warm")],
                         [("seq-write", False), ("seq-read-warm", True), ("remove-big", False)])

    def test_pattern_that_matches_nothing_is_an_error(self):
        with self.assertRaisesRegex(run.BenchError, "matches no operation; they are: create"):
            run.plan("nonesuch")


if __name__ == "__main__":
    unittest.main()
