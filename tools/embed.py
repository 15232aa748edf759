#!/usr/bin/env python3
"""Writes a file's bytes as a C array: embed.py INPUT OUTPUT SYMBOL.

The output defines `const unsigned char SYMBOL[]`, followed by a NUL that the array counts, and
`const unsigned long SYMBOL_len`, which does not count it.
"""
import sys


def main() -> None:
    source, target, symbol = sys.argv[1:4]
    with open(source, "rb") as f:
        data = f.read()
    lines = [
        f"extern const unsigned char {symbol}[{len(data) + 1}];",
        f"extern const unsigned long {symbol}_len;",
        f"const unsigned long {symbol}_len = {len(data)};",
        f"const unsigned char {symbol}[{len(data) + 1}] = {{",
    ]
    for i in range(0, len(data), 20):
        lines.append("    " + "".join(f"{b}," for b in data[i : i + 20]))
    lines += ["    0", "};", ""]
    with open(target, "w", encoding="ascii") as f:
        f.write("\n".join(lines))


if __name__ == "__main__":
    main()
