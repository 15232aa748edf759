"""A pipe to tests/text/grammar_tool.c: grammars compiled and texts checked by the library."""

import subprocess


class Tool:
    def __init__(self, program, model=None):
        self.pipe = subprocess.Popen([str(program)] + ([str(model)] if model else []),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line, data=b""):
        self.pipe.stdin.write(line.encode() + b"\n" + data)
        self.pipe.stdin.flush()
        answer = self.pipe.stdout.readline()
        if not answer:
            raise RuntimeError(f"grammar_tool ended with {self.pipe.wait()} after {line} {data[:2000]!r}")
        return answer.decode(errors="replace").strip()

    def compile(self, kind, text, formats=True):
        """None where it compiled, else the message."""
        data = text.encode()
        answer = self.ask(f"C {kind} {len(data)}{'' if formats else ' nof'}", data)
        return None if answer.startswith("ok ") else answer

    def accepts(self, text, tokens=False):
        data = text.encode() if isinstance(text, str) else text
        answer = self.ask(f"{'T' if tokens else 'A'} {len(data)}", data)
        if answer.startswith("error") or " " in answer.strip():
            raise RuntimeError(answer)
        return answer == "1"

    def generate(self, seed, tokens):
        """A text by random allowed tokens, and whether it came to an end."""
        answer = self.ask(f"G {seed} {tokens}")
        length, complete = answer.split()
        text = self.pipe.stdout.read(int(length) + 1)[:-1]
        return text, complete == "1"

    def close(self):
        self.pipe.stdin.close()
        return self.pipe.wait()
