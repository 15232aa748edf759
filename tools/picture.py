#!/usr/bin/env python3
"""Turns a terminal program's output, colours included, into an SVG picture.

    CLICOLOR_FORCE=1 tools/demo.py build/hearth > demo.txt
    tools/picture.py demo.txt '$ make demo' > docs/images/demo.svg
"""

import html
import re
import sys

COLORS = {"31": "#f47067", "32": "#57c46b", "36": "#56b6c2", "90": "#7d8590"}
WIDTH, LINE, MARGIN, BAR = 8.4, 20, 20, 36


def spans(text):
    """[(text, colour or None, bold)] of one line."""
    color, bold, found = None, False, []
    for piece in re.split(r"(\x1b\[[0-9;]*m)", text):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if not codes:
            if piece:
                found.append((piece, color, bold))
            continue
        for code in codes[1].split(";"):
            if code in ("", "0"):
                color, bold = None, False
            elif code == "1":
                bold = True
            else:
                color = COLORS.get(code, color)
    return found


def draw(lines):
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = int(max(map(len, plain)) * WIDTH + 2 * MARGIN)
    height = BAR + len(lines) * LINE + MARGIN
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" role="img">')
    yield f"<title>{html.escape(plain[0])}</title>"
    yield f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
    for i, fill in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")):
        yield f'<circle cx="{20 + 18 * i}" cy="18" r="5.5" fill="{fill}"/>'
    yield ('<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" '
           'font-size="14" fill="#e6edf3" xml:space="preserve">')
    for number, line in enumerate(lines):
        x, y = float(MARGIN), BAR + (number + 0.75) * LINE
        for text, color, bold in spans(line):
            if text.strip():
                style = (f' fill="{color}"' if color else "") + (' font-weight="bold"' if bold else "")
                # A fixed length keeps columns aligned whatever font the viewer has.
                yield (f'<text x="{x:.1f}" y="{y:.0f}" textLength="{len(text) * WIDTH:.1f}" '
                       f'lengthAdjust="spacingAndGlyphs"{style}>{html.escape(text)}</text>')
            x += len(text) * WIDTH
    yield "</g></svg>"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = [line.rstrip().expandtabs(8) for line in file.read().splitlines()]
    lines = sys.argv[2:] + lines
    print("\n".join(draw(lines)))


if __name__ == "__main__":
    main()
