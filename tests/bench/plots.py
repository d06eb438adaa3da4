# SPDX-License-Identifier: MIT
"""Plots, drawn by gnuplot as SVG."""

import os
import shutil

import systems


def draw(path, script):
    """Runs a gnuplot script whose output is the picture. False if there is no gnuplot."""
    if not shutil.which("gnuplot"):
        return False
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    # gnuplot writes to its output, so that no name has to be quoted in its language.
    work = path + ".gnuplot"
    try:
        with open(work, "w", encoding="utf-8") as out:
            out.write(script)
        picture = systems.run(["gnuplot", work])
        with open(path, "w", encoding="utf-8") as out:
            out.write(picture)
    finally:
        os.remove(work)
    return True


def quote(text):
    return "'" + text.replace("'", "''").replace("_", r"\_") + "'"


def wrap(text, width=26):
    """Lines of about that width, for gnuplot's double quotes."""
    lines = [""]
    for word in text.replace('"', "").split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return '"' + "\\n".join(lines).replace("_", "\\\\_") + '"'


def bars(title, ylabel, rows, series):
    """Ratios as bars with their spread, logarithmic around 1: rows: titles, series: {label: [spread or
    None for each row]}."""
    parts = []
    for n, values in enumerate(series.values()):
        lines = [f"$s{n} << EOD"]
        for at, found in enumerate(values):
            if found:
                x = at + (n + 0.5) / len(series) * 0.8 - 0.4
                lines.append(f"{x:.4f} {found['median']} {found['min']} {found['max']}")
        parts.append("\n".join(lines + ["EOD"]))
    ticks = ", ".join(f"{wrap(text)} {at}" for at, text in enumerate(rows))
    width = 0.8 / len(series)
    drawn = []
    for n, label in enumerate(series):
        if not any(series[label]):
            continue
        drawn.append(f"$s{n} using 1:2:({width:.4f}) with boxes lt {n + 1} title {quote(label)}")
        drawn.append(f"$s{n} using 1:2:3:4 with yerrorbars lt -1 pt 0 lw 0.7 notitle")
    return "\n".join(parts + [
        f"set terminal svg size {max(800, 130 * len(rows))},620 dynamic font 'sans-serif,11' "
        "background rgb 'white'",
        f"set title {quote(title)}", f"set ylabel {quote(ylabel)}",
        "set logscale y 2", "set grid ytics", "set style fill solid 0.7 border -1",
        "set xtics rotate by -40 nomirror", f"set xtics ({ticks})",
        f"set xrange [-0.6:{len(rows) - 0.4}]", "set key outside top center horizontal",
        "set bmargin 9", "set arrow from graph 0,first 1 to graph 1,first 1 "
        "nohead lw 2 dt 2 front",
        "plot " + ", \\\n  ".join(drawn)]) + "\n"


def group(made, name, path):
    """The ratios of a group as a picture; False if nothing was drawn."""
    data = made.data[name]
    (base, label), *others = data["systems"]
    ops = data["operations"]
    series = {other: [made.ratio(op[0], key, base) for op in ops] for key, other in others}
    series = {key: values for key, values in series.items() if any(values)}
    if not series:
        return False
    return draw(path, bars(data["title"], f"how many times faster than it {label} is",
                           [op[1] for op in ops], series))
