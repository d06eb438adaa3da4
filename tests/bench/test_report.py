#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the report makes of known figures: medians, ratios, aims, missing figures, the document."""

import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import groups
import peers
import plots
import report
import run
from plan import Aim, Figure, cpu, cpu_between, figure, speed
from systems import BenchError

GIB = 1 << 30


def rounds(*values, **more):
    return [None if value is None else Figure(value, **more) for value in values]


def sample(aims=()):
    figures = {
        "create": {"zcfs": rounds(100, 300, 200), "peer": rounds(50, 100, 400),
                   "cold": rounds(None, None, None)},
        "untar": {"zcfs": rounds(2, 4, 6), "peer": rounds(4, 4, 4)},
        "write": {"zcfs": rounds(1, bytes=2 * GIB, daemon=1.0, own=3.0, machine=6.0),
                  "peer": rounds(1, bytes=GIB, daemon=1.0, own=1.0, machine=6.0)},
        "copy": {"zcfs": rounds(1, bytes=GIB, daemon=0.0, own=4.0, machine=6.0)},
    }
    group = {"title": "A group", "rounds": 3, "missing": ["nosuch: not found"],
             "systems": [["zcfs", "zcfs"], ["peer", "a peer"], ["cold", "no figure"]],
             "operations": [["create", "create", "files/s", True], ["untar", "untar", "s", False],
                            ["write", "write", "MB/s", True], ["copy", "copy", "MB/s", True]],
             "figures": figures, "calls": {"create": {"zcfs": [300, 100, 100, "file"],
                                                      "peer": [None, 100, 100, "file"]}}}
    return report.Report({"group": group}, aims, {"kernel": "K"}, "run it")


class ReportTest(unittest.TestCase):
    def test_ratio_is_the_median_of_the_rounds_and_not_of_the_medians(self):
        # Per round 2, 3 and 0.5; the medians 200 and 100 are of different rounds.
        self.assertEqual(sample().ratio("create", "peer"), {"median": 2, "min": 0.5, "max": 3})

    def test_where_less_is_better_the_ratio_is_how_much_less_it_is(self):
        self.assertEqual(sample().ratio("untar", "peer")["max"], 2)
        self.assertEqual(sample().ratio("untar", "peer")["median"], 1)

    def test_system_without_a_figure_has_no_ratio(self):
        self.assertIsNone(sample().ratio("create", "cold"))
        self.assertIsNone(sample().ratio("untar", "cold"))
        self.assertIn("| create, files/s | 200 (100..300) | 100 (50.0..400) | - |",
                      sample().markdown())

    def test_lines_where_the_base_is_behind_are_named(self):
        made = sample()
        made.data["group"]["figures"]["create"]["peer"] = rounds(200, 600, 400)
        self.assertIn("* zcfs is behind a peer on: create (0.50).", made.markdown())
        self.assertIn("* zcfs is behind a peer on: nothing.", sample().markdown())

    def test_cpu_is_for_each_gib_and_only_of_what_moves_much(self):
        text = sample().markdown()
        self.assertIn("| write | 0.50 + 1.50 (3.00) | 1.00 + 1.00 (6.00) |", text)
        self.assertNotIn("| create | 0", text)

    def test_calls_are_for_each_file(self):
        self.assertIn("| create, for each file | 3.00 + 1.00 | 1.00 |", sample().markdown())

    def test_what_was_left_out_is_said(self):
        self.assertIn("Left out: nosuch: not found.", sample().markdown())

    def test_json_holds_every_round(self):
        group = json.loads(json.dumps(sample().json()))["groups"]["group"]
        self.assertEqual([one["value"] for one in group["figures"]["create"]["peer"]],
                         [50, 100, 400])
        self.assertEqual(group["values"]["create"]["zcfs"], {"median": 200, "min": 100, "max": 300})
        self.assertEqual(group["ratios"]["untar"]["peer"]["median"], 1)


class AimTest(unittest.TestCase):
    def judge(self, *args, **bounds):
        return Aim("aim", *args, **bounds).judge(sample())

    def test_aim_is_reached_at_its_bound(self):
        self.assertEqual(self.judge(speed("create", "peer"), at_least=2),
                         ("aim: at least 2", "2.00 (0.50..3.00)", True))
        self.assertFalse(self.judge(speed("create", "peer"), at_least=2.01)[2])

    def test_of_several_peers_the_one_that_is_hardest_to_beat_counts(self):
        made = sample()
        made.data["group"]["figures"]["create"]["cold"] = rounds(1000, 1000, 1000)
        aim = Aim("aim", speed("create", "peer", "cold"), at_least=2)
        self.assertEqual(aim.judge(made)[1:], ("0.20 (0.10..0.30), to no figure", False))

    def test_cpu_is_compared_for_each_gib(self):
        self.assertEqual(self.judge(cpu("write", "daemon", "peer"), at_most=0.6)[1:],
                         ("0.50", True))

    def test_cpu_of_two_operations(self):
        self.assertEqual(self.judge(cpu_between("write", "copy", "own", "daemon"), at_most=0.4)[1:],
                         ("0.50", False))

    def test_figure_itself(self):
        self.assertEqual(self.judge(figure("untar", "{:.0f} s"), at_most=4)[1:],
                         ("4 s (2 s..6 s)", True))

    def test_what_is_not_measured_is_neither_reached_nor_missed(self):
        for find in (speed("create", "cold"), speed("nosuch", "peer"), cpu("create", "daemon", "x"),
                     cpu_between("write", "nosuch", "own"), figure("nosuch", "{}")):
            self.assertEqual(self.judge(find, at_least=1)[1:], ("not measured", None))
        self.assertIn("| aim: at least 1 | not measured | - |",
                      sample([Aim("aim", speed("no", "x"), at_least=1)]).markdown())


class DocumentTest(unittest.TestCase):
    begin, end = report.markers("bench", "run.py")

    def test_only_what_is_between_the_markers_is_replaced(self):
        with tempfile.TemporaryDirectory() as top:
            path = os.path.join(top, "doc.md")
            with open(path, "w", encoding="utf-8") as out:
                out.write(f"before\n{self.begin}\nold\n{self.end}\nafter\n")
            report.update_document(path, "new\n", "bench", "run.py")
            with open(path, encoding="utf-8") as text:
                self.assertEqual(text.read(), f"before\n{self.begin}\n\nnew\n\n{self.end}\nafter\n")

    def test_markers_must_be_there_once_and_in_order(self):
        for text in ("no markers", self.begin, f"{self.end}\n{self.begin}",
                     f"{self.begin}{self.end}{self.begin}"):
            with self.assertRaises(ValueError):
                report.replace_between(text, "new", self.begin, self.end)

    def test_the_document_of_this_tree_has_its_markers(self):
        with open(report.DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        for name, script in (("bench", "run.py"), ("commit", "commit.py"), ("live", "live.py")):
            self.assertIn("new", report.replace_between(text, "new", *report.markers(name, script)))


class PlanTest(unittest.TestCase):
    def plan(self, *words):
        return [(group.name, group.systems, [op.name for op in group.operations])
                for group in run.plan(run.parse([*words]))]

    def test_names_of_operations_and_systems_fit(self):
        made = run.all_groups(run.parse([]))
        names = [op.name for group in made for op in group.operations]
        self.assertEqual(len(names), len(set(names)))
        for group in made:
            for op in group.operations:
                self.assertLessEqual(set(op.systems or []), set(group.systems), op.name)
            self.assertLessEqual(set(group.systems), set(peers.NAMES), group.name)

    def test_aims_find_their_figures(self):
        """A name that is misspelt would be an aim that is never measured."""
        made = run.all_groups(run.parse([]))
        data = {group.name: {
            "title": group.title, "rounds": 1, "missing": [], "calls": {},
            "systems": [[key, key] for key in group.systems],
            "operations": [[op.name, op.title, op.unit, op.more] for op in group.operations],
            "figures": {op.name: {key: rounds(1.0, bytes=GIB, daemon=1.0, own=1.0, machine=1.0)
                                  for key in group.systems if op.takes(key)}
                        for op in group.operations}} for group in made}
        aims = [aim for group in made for aim in group.aims]
        for aim, _, reached in report.Report(data, aims, {}, "").judged():
            self.assertIsNotNone(reached, aim)

    def test_only_chooses_operations_and_their_group(self):
        self.assertEqual(self.plan("--only", "^seq-read-warm$", "--systems", "ext4,zcfs"),
                         [("big", ["zcfs", "ext4"], ["seq-read-warm"])])

    def test_what_matches_nothing_is_an_error(self):
        for words, text in ((["--only", "nonesuch"], "matches no operation; they are: create"),
                            (["--group", "nonesuch"], "they are: files"),
                            (["--systems", "nonesuch"], "is not known; choose from zcfs"),
                            (["--group", "files", "--systems", "tmpfs"], "no group has any")):
            with self.assertRaisesRegex(BenchError, text):
                self.plan(*words)

    def test_passthrough_ll_means_its_three_variants(self):
        self.assertEqual(len(peers.select("passthrough_ll")), 3)

    def test_figures_of_other_counts_are_not_put_beside_these(self):
        with tempfile.TemporaryDirectory() as top:
            path = os.path.join(top, "figures.json")
            args = run.parse(["--json", path, "--resume"])
            made = sample()
            run.save(args, made)
            self.assertEqual(run.load(args)["group"]["figures"]["create"]["cold"], [None] * 3)
            self.assertEqual(run.load(args)["group"]["figures"]["untar"]["zcfs"][0], Figure(2))
            with self.assertRaisesRegex(BenchError, "was made with other counts"):
                run.load(run.parse(["--json", path, "--resume", "--files", "7"]))


class PlotTest(unittest.TestCase):
    def test_what_has_no_ratio_has_no_bar(self):
        text = plots.bars("t", "y", ["a", "b"], {"one": [{"median": 2, "min": 1, "max": 3}, None],
                                                 "none": [None, None]})
        self.assertIn("2 1 3", text)
        self.assertNotIn("'none'", text)


if __name__ == "__main__":
    unittest.main()
