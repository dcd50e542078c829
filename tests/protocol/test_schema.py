"""qga-protocol/compile-schema refuses a schema with a mistake, and says where it is."""
import subprocess
import sys
from pathlib import Path

import pytest

COMPILER = Path(__file__).resolve().parents[2] / "qga-protocol/compile-schema"
BAD = [
    ("{}", "not an array"),
    ("[1]", "1: neither command, event, struct, enum nor alternate"),
    ("[{}]", "{}: neither command, event, struct, enum nor alternate"),
    ('[{"command":"a"},{"command":"a"}]', "'a': defined twice"),
    ('[{"struct":"str","data":{}}]', "'str': defined twice"),
    ('[{"struct":"S","data":{}},{"enum":"S","data":[]}]', "'S': defined twice"),
    ('[{"struct":"S","data":{"a":"nope"}}]', "'S': unknown type 'nope'"),
    ('[{"struct":"S","data":{"a":["int","str"]}}]', "'S': an array type has one element"),
    ('[{"struct":"S","data":{"a":[]}}]', "'S': an array type has one element"),
    ('[{"struct":"S","data":[]}]', "'S': data is not an object"),
    ('[{"struct":"S","data":{"a":"int","a":"int"}}]', "'a': stands twice"),
    ('[{"enum":"E","data":[1]}]', "'E': 1 is no name"),
    ('[{"enum":"E","data":{}}]', "'E': not an array of words"),
    ('[{"command":"a","features":["b"]}]', "'a': unknown feature"),
    ('[{"command":"a","returns":"nope"}]', "'a': unknown type 'nope'"),
    ('[{"command":"a","arguments":{}}]', "'a': unknown key 'arguments'"),
    ('[{"command":1}]', "'command': 1 is no name"),
    ('[{"command":"a\\"b"}]', "'command': 'a\"b' is no name"),
    ("[", "Expecting value: line 1 column 2 (char 1)"),
]


def compile_text(tmp_path, text):
    """compile-schema's end for a schema TEXT."""
    path = tmp_path / "schema.json"
    path.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, COMPILER, path, "s"], capture_output=True, text=True,
                          check=False)


@pytest.mark.parametrize("text, problem", BAD)
def test_a_bad_schema_is_refused(tmp_path, text, problem):
    """One line on standard error, nothing on standard output, exit status 1."""
    done = compile_text(tmp_path, text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "%s: %s\n" % (tmp_path / "schema.json", problem)


def test_types_may_come_later_and_name_themselves(tmp_path):
    """A struct of itself, used before it is defined; a type that no argument uses is left out."""
    done = compile_text(tmp_path, '[{"command":"c","data":{"*a":["A"]},"returns":"B"},'
                        '{"struct":"A","data":{"*a":"A"}},{"struct":"B","data":{}}]')
    assert done.returncode == 0, done.stderr
    assert '{"a", &type_A, TRUE, TRUE}' in done.stdout
    assert '{"a", &type_A, FALSE, TRUE}' in done.stdout
    assert "type_B" not in done.stdout
