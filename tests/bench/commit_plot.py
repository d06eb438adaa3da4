# SPDX-License-Identifier: MIT
"""The plot of commit.py, drawn by gnuplot as SVG: time by pages, and commits by threads."""

from plots import draw


def block(name, points):
    rows = [f"{x} {found['median']} {found['min']} {found['max']}" for x, found in points.items()]
    return "\n".join([f"${name} << EOD", *rows, "EOD"])


def curves(prefix, series):
    parts = []
    for i, label in enumerate(series):
        parts.append(f"${prefix}{i} using 1:2:3:4 with yerrorlines lw 1.5 lt {i + 1} "
                     f"title '{label}'")
    return "plot " + ", \\\n  ".join(parts)


def script(pages, threads):
    blocks = [block(f"p{i}", points) for i, points in enumerate(pages.values())]
    blocks += [block(f"t{i}", points) for i, points in enumerate(threads.values())]
    ticks = sorted(next(iter(pages.values())))
    crowds = sorted(next(iter(threads.values())))
    return "\n".join(blocks + [
        "set terminal svg size 1100,560 dynamic font 'sans-serif,12' background rgb 'white'",
        "set multiplot layout 1,2",
        "set grid",
        "set bmargin 11",
        "set key outside below maxcols 2 font ',10' samplen 2",
        "set logscale x",
        "set logscale y",
        "set format y '10^{%L}'",
        "set xtics (" + ", ".join(map(str, ticks)) + ")",
        f"set xrange [{ticks[0] * 0.8}:{ticks[-1] * 1.3}]",
        "set title 'Time of a commit'",
        "set xlabel 'scattered pages of 4 KiB'",
        "set ylabel 'microseconds'",
        curves("p", pages),
        "unset logscale y",
        "set logscale x 2",
        "set format y '%g'",
        "set xtics (" + ", ".join(map(str, crowds)) + ")",
        f"set xrange [{crowds[0] * 0.9}:{crowds[-1] * 1.1}]",
        "set yrange [0:*]",
        "set title 'One-page commits, a file for each thread'",
        "set xlabel 'threads'",
        "set ylabel 'commits per second'",
        curves("t", threads),
        "unset multiplot",
    ]) + "\n"


def plot(path, pages, threads):
    """pages, threads: {label: {x: spread}}. False if there is no gnuplot."""
    return draw(path, script(pages, threads))
