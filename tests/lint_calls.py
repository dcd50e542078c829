"""What calls what, read from the C files as text: circles of files, arrows up, impure decisions.

It knows C well enough for this tree's format (.clang-format): a definition begins in column 0 and its
body ends with a brace in column 0. A name counts as a use wherever it stands, so that a function that
is passed on as a pointer counts like one that is called.
"""
import re
from collections import defaultdict

NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
FUNCTION = re.compile(r"^(?P<head>[A-Za-z_][^\n;{}=#]*?)\b(?P<name>\w+)\((?P<parameters>[^;{}]*)\)\s*"
                      r"^\{\n(?P<body>.*?)^\}", re.M | re.S)
WORD = re.compile(r"\b[A-Za-z_]\w*\b")
CALL = re.compile(r"(?<![\w.>])([a-z_]\w*)\(")  # not through a pointer of a struct
LINES_MAX = 60

# What the pure layer may call beside itself and what reads no file: of libc and GLib, names that
# neither wait, read, write, log nor ask for the time.
PURE = re.compile(
    r"(g_(array|ptr_array|hash_table|queue|list|string|str|strv|ascii|new0?|malloc|free|clear|steal|"
    r"assert|auto|set_error|error|propagate|abs|return|snprintf|memdup2?|bytes|byte_array|slist|"
    r"utf8|shell_quote|uint64_checked|int_hash|int64|direct)\w*"
    r"|mem(cpy|cmp|set|move)|str(n?len|cmp|ncmp|chr|spn|cspn|str)|qsort|bsearch|snprintf"
    r"|if|while|for|switch|return|sizeof|typeof|offsetof|defined|va_(start|end|arg)"
    r"|__builtin_\w+)$")


class Tree:
    """The C files of the programs: {path: text}, without comments and literals."""

    def __init__(self, texts):
        self.code = {path: NOT_CODE.sub(_blank, text) for path, text in texts.items()}
        self.functions = {path: list(FUNCTION.finditer(code))
                          for path, code in self.code.items()}
        self.home = defaultdict(dict)  # program -> name -> path of the definition
        for path, functions in self.functions.items():
            for function in functions:
                if path.endswith(".c") and "static" not in function["head"].split():
                    self.home[program_of(path)].setdefault(function["name"], path)
        self.uses = {path: self._uses(path) for path in self.code if path.endswith(".c")}

    def _uses(self, path):
        """{path of the other file: names}"""
        found = defaultdict(set)
        own = self.home[program_of(path)]
        shared = self.home["agent"] if program_of(path) == "ctl" else {}
        private = {function["name"] for function in self.functions[path]}
        for name in set(WORD.findall(self.code[path])) - private:
            home = own.get(name) or shared.get(name)
            if home and home != path:
                found[home].add(name)
        return found

    def circles(self):
        """Lists of files each of which uses the next, and the last one the first."""
        found, done = [], set()
        for start in sorted(self.uses):
            reach = self._reach(start)
            if start in reach and start not in done:
                circle = {path for path in reach if start in self._reach(path)}
                done |= circle
                found.append(sorted(circle))
        return found

    def _reach(self, start):
        seen, todo = set(), [start]
        while todo:
            for path in self.uses.get(todo.pop(), {}):
                if path not in seen:
                    seen.add(path)
                    todo.append(path)
        return seen

    def impure(self, folder):
        """(path, name) of each call in FOLDER that is not known to be pure."""
        pure = {function["name"] for path, functions in self.functions.items()
                for function in functions
                if path.startswith(("agent/decide/", "agent/system/"))
                and "AttrIo" not in function["parameters"] and not _touches_files(function["body"])}
        for path, functions in self.functions.items():
            if not path.startswith(folder):
                continue
            for function in functions:
                for name in set(CALL.findall(function["body"])):
                    if name not in pure and not PURE.match(name) and not _is_given(function, name):
                        yield path, name

    def long_functions(self):
        """(path, name, lines) of each function over LINES_MAX."""
        for path, functions in self.functions.items():
            for function in functions:
                lines = function["body"].count("\n") + 2
                if lines > LINES_MAX:
                    yield path, function["name"], lines


def _is_given(function, name):
    """Whether NAME is a pointer to a function that FUNCTION was given or has in a variable."""
    return re.search(r"\b%s\b" % name, function["parameters"]) or re.search(
        r"\w \*?%s( =|;|,)" % name, function["body"])


def program_of(path):
    """memplugctl is a program of its own: it may use the daemon's lower layers, never the reverse."""
    return "ctl" if path.startswith("ctl/") else "agent"


def _touches_files(body):
    return re.search(r"\b(open|openat|read|write|opendir|fopen|g_file_\w+|g_dir_\w+)\(", body)


def _blank(match):
    """As many lines as before."""
    return " " + "\n" * match.group(0).count("\n")
