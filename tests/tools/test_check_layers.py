"""check_layers.py finds each kind of violation when one is planted, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
spec = importlib.util.spec_from_file_location("check_layers", ROOT / "tools/check_layers.py")
check_layers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_layers)

TABLE = """
| module | owns | may include |
|---|---|---|
| `base` | ground | nothing |
| `quant` | types | base |
| `model` | graph | quant |
| `cli` | commands | all |
"""

HEADER = "#ifndef {0}\n#define {0}\nint {0}_f(void);\n#endif\n"


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "ARCHITECTURE.md").write_text(TABLE)
    files = {
        "base/low.h": HEADER.format("low"),
        "quant/mid.h": '#include "base/low.h"\n' + HEADER.format("mid"),
        "quant/mid_int.h": HEADER.format("mid_int"),
        "quant/sub/part.c": '#include "quant/mid_int.h"\n',
        "model/top.c": '#include "quant/mid.h"\n#include "base/low.h"\n#include <stdio.h>\n'
                       '/* printf("x") and exit(1) in a comment */\n'
                       'const char *text = "abort() // exit(1)"; // printf("x")\n'
                       'int my_exit(int a);\nint n(char *b) { return snprintf(b, 1, "x"); }\n',
        "cli/main.c": '#include "base/low.h"\n'
                      '#include <stdio.h>\nint main(void) { printf("x"); return 0; }\n',
    }
    for name, text in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def problems(tree):
    return list(check_layers.find_problems(tree))


def plant(tree, name, text):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return problems(tree)


def test_a_clean_tree_has_no_problem(tree):
    assert problems(tree) == []


@pytest.mark.parametrize("name, text, message", [
    ("src/base/bad.c", '#include "quant/mid.h"\n', "src/base/bad.c:1: base may not include quant"),
    ("src/quant/bad.c", '\n #  include "cli/x.h"\n', '"cli/x.h" is not a header'),
    ("src/model/bad.c", '#include "quant/mid_int.h"\n', "quant/mid_int.h is private"),
    ("src/model/bad.c", '#include "mid.h"\n', '"mid.h" is not a header'),
    ("src/model/bad.c", '#include "../quant/mid.h"\n', "is not a header"),
    ("src/other/new.c", "int x;\n", "module other is not in ARCHITECTURE.md's table"),
    ("src/model/low.h", HEADER.format("low2"), "src/model/low.h:1: has the same name as"),
    ("tests/model/top.c", "int x;\n", "tests/model/top.c:1: has the same name as"),
    ("src/base/broken.h", "size_t f(void);\n", "src/base/broken.h:1: does not compile alone"),
    ("src/base/long.c", "int x;\n" * 901, "has 901 lines"),
    ("src/base/bad.c", "void exit(int);\nvoid f(void) {\n  exit(1);\n}\n", "bad.c:3: only cli prints"),
    ("src/base/bad.c", 'int printf();\nvoid f(void) { printf("x"); }\n', "only cli prints"),
    ("src/base/bad.c", "void f(void) { abort (); }\n", "only cli prints"),
    ("src/base/bad.c", 'void f(void) {\n fprintf(stderr,\n "x");\n}\n', "bad.c:2: only cli prints"),
])
def test_a_planted_violation_is_found(tree, name, text, message):
    found = plant(tree, name, text)
    assert any(message in line for line in found), found


def test_cli_may_include_everything_and_print(tree):
    assert plant(tree, "src/cli/more.c", '#include "quant/mid.h"\nvoid f(void) { exit(1); }\n') == []


def test_a_template_need_not_compile_alone_but_stays_in_its_folder(tree):
    assert plant(tree, "src/quant/body_tmpl.h", "UNDEFINED_TYPE x;\n") == []
    assert any("private" in p for p in plant(tree, "src/model/a.c", '#include "quant/body_tmpl.h"\n'))


def test_a_cycle_in_the_table_is_refused(tree):
    text = TABLE.replace("| `base` | ground | nothing |", "| `base` | ground | model |")
    (tree / "ARCHITECTURE.md").write_text(text)
    with pytest.raises(SystemExit, match="cycle"):
        problems(tree)


def test_a_lost_table_is_refused(tree):
    (tree / "ARCHITECTURE.md").write_text("# nothing\n")
    with pytest.raises(SystemExit, match="no module table"):
        problems(tree)


def test_the_real_table_can_be_read():
    table = check_layers.read_table(ROOT)
    assert table["base"] == set()
    assert table["infer"] >= {"model", "text", "gguf", "kern", "quant", "base"}
    assert "infer" not in table["model"]
    assert "cli" not in set().union(*table.values())
