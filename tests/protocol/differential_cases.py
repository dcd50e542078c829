"""The byte sequences that are sent to both daemons: (name, bytes, key of an allowed difference)."""

PING = b'{"execute":"guest-ping"}'


def sync(value):
    return b'{"execute":"guest-sync","arguments":{"id":' + value + b'}}'


def ping_id(value):
    return b'{"execute":"guest-ping","id":' + value + b'}'


def arguments(value):
    return b'{"execute":"guest-ping","arguments":' + value + b'}'


def members(count):
    """An object of so many members."""
    return b"{" + b",".join(b'"%d":0' % n for n in range(count)) + b"}"


def _framing():
    yield "one", PING
    yield "newline", PING + b"\n"
    yield "two together", PING + PING
    yield "three with blank lines", PING + b"\n\n\r\n" + PING + b"\n \t\n" + PING
    yield "pretty", b'{\n  "execute" :\n    "guest-ping"\n}\n'
    yield "blank lines only", b"\n\n\r\n \t \n"
    yield "key order", b'{"id":1,"arguments":{"id":2},"execute":"guest-sync"}'
    yield "escaped names", b'{"\\u0065xecute":"guest\\u002dping"}'
    yield "single quotes", b"{'execute':'guest-ping','id':'a\"b'}"
    yield "apostrophe escape", b'{"execute":"guest-ping","id":"a\\\'b"}'
    yield "many", PING * 200
    yield "many with ids", b"".join(ping_id(b"%d" % n) for n in range(200))
    yield "sync and command in one write", (
        b'{"execute":"guest-sync-delimited","arguments":{"id":1}}\n' + PING)
    yield "ping in front of sync", (
        PING + b'{"execute":"guest-sync-delimited","arguments":{"id":1}}' + PING)
    yield "errors between", PING + b"{}" + PING + b"[]" + PING + b"nope" + PING
    yield "trailing garbage", PING + b"garbage\n"
    yield "trailing brace", PING + b"}"
    yield "trailing bracket", PING + b"]" + PING
    yield "trailing comma", PING + b"," + PING
    yield "trailing colon", PING + b":" + PING
    yield "byte order mark", b"\xef\xbb\xbf" + PING
    yield "http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "at command", b"ATZ\r\n" + PING
    yield "line noise", bytes(range(0x80, 0xa0)) + b"\n" + PING
    yield "all control characters", bytes(range(0x20)) + PING
    yield "all bytes", bytes(range(256)) + b"\n" + PING
    yield "all bytes backwards", bytes(range(255, -1, -1)) + b"\n" + PING
    for byte in b"\x00\x01\x07\x08\x0b\x0c\x1b\x1f\x7f\x80\xc3\xfd\xfe\xff":
        yield "byte %02x in front" % byte, bytes([byte]) + PING
        yield "byte %02x behind" % byte, PING + bytes([byte]) + PING
        yield "byte %02x between tokens" % byte, (
            b'{"execute":' + bytes([byte]) + b'"guest-ping"}\n' + PING)
        yield "byte %02x in a string" % byte, (
            b'{"execute":"guest-pi' + bytes([byte]) + b'"}\n' + PING)


def _resync():
    yield "ff", b"\xff"
    yield "ff ff", b"\xff\xff" + PING
    yield "ff newline", b"\xff\n" + PING
    yield "open brace", b"{\xff" + PING
    yield "open braces", b"{{{[[[\xff" + PING
    yield "half key", b'{"exec\xff' + PING
    yield "half value", b'{"execute":"guest-pi\xff' + PING
    yield "half escape", b'{"execute":"\\\xff' + PING
    yield "half unicode escape", b'{"execute":"\\u00\xff' + PING
    yield "half number", b'{"id":12\xff' + PING
    yield "half sign", b'{"id":-\xff' + PING
    yield "half fraction", b'{"id":1.\xff' + PING
    yield "half exponent", b'{"id":1e\xff' + PING
    yield "zero exponent", ping_id(b"0e1")
    yield "zero exponent at top", b"0e1\n" + PING
    # An agent behind this one must not see a request where this one sees a part of one.
    for number in (b"0E1", b"0e+1", b"-0E1"):
        yield "hidden behind " + number.decode(), (
            b'{"execute":"guest-ping","arguments":{"a":[' + number + b"," + PING.strip() + b"]}}\n"
            + PING)
    yield "half keyword", b'{"id":tru\xff' + PING
    yield "top-level number", b"12\xff" + PING
    yield "top-level word", b"tru\xff" + PING
    yield "bad then brace", b"#" + PING
    yield "bad then spaces", b"# x y z " + PING
    yield "bad then tab", b"#\t1 2 3\n" + PING
    yield "bad then quote", b"#\"abc\n" + PING
    yield "bad then newline", b"#\n5\n" + PING
    yield "bad in object", b'{"a":#1,"b":2}' + PING
    yield "bad in string", b'{"a":"x\ny","b":2}' + PING
    yield "upper case word", b"True " + PING
    yield "mixed word", b"trueFalse " + PING
    yield "word and digits", b"abc123\n" + PING
    yield "number and word", b"123abc\n" + PING
    yield "hex", b"0x1F\n" + PING
    yield "comment", b"/* x */" + PING
    yield "hash comment", b"# comment\n" + PING
    yield "var", b"var x = {}\n" + PING
    yield "percent", b'{"execute":%s}\n' + PING


def _grammar():
    for text in [b"{,}", b"{1:2}", b'{"a"}', b'{"a":}', b'{"a":,}', b'{"a" 1}', b'{"a":1,}',
                 b'{"a":1 "b":2}', b'{"a":1,,"b":2}', b'{"a"::1}', b"{a:1}", b"{null:1}",
                 b"{[]:1}", b"{{}:1}", b"{[1 2]:1}", b"{[}]", b'{"a":[}', b'{"a":[1}]}', b"[1 2]",
                 b"[1,]", b"[,1]", b"[,]", b"[1:2]", b"[}", b"{]", b"]", b"}", b",", b":", b"][",
                 b"}{", b'{"a":1]}', b"[{]}", b"[tru]", b"[nul]", b'{"a":undefined}', b"[NaN]",
                 b"[Infinity]", b"[-Infinity]", b'["a" "b"]', b'["a",]', b'{"a":{"b":}}',
                 b'{"a":[{"b":[1,{"c":]}]}]}', b'{"a":1}}', b'{"a":1}]', b"[[1],2 3]"]:
        yield text.decode("ascii"), text + b"\n" + PING
    for text in [b"1", b"-1", b"1.5", b'"a"', b"'a'", b"true", b"false", b"null", b"[]", b"[1]"]:
        yield "not an object: " + text.decode("ascii"), text + b"\n" + PING


def _requests():
    for text in [b"{}", b'{"id":1}', b'{"execute":1}', b'{"execute":null}', b'{"execute":["a"]}',
                 b'{"execute":{}}', b'{"execute":true}', b'{"execute":""}', b'{"execute":" "}',
                 b'{"execute":"nope"}', b'{"execute":"Guest-ping"}', b'{"execute":"guest-ping "}',
                 b'{"execute":"\\u00e9\\ud83d\\ude00"}', b'{"execute":"\xc3\xa9\xf0\x9f\x98\x80"}',
                 b'{"execute":"a\\nb\\"c\\\\d\\u007f"}', b'{"execute":"guest-ping","foo":1}',
                 b'{"execute":"guest-ping","foo":1,"id":2}', b'{"exec-oob":"guest-ping"}',
                 b'{"execute":"guest-ping","exec-oob":"guest-ping"}',
                 b'{"execute":"guest-ping","control":{}}', b'{"execute":"guest-ping","":1}',
                 b'{"execute":"guest-ping","arguments":[]}',
                 b'{"execute":"guest-ping","arguments":null}',
                 b'{"execute":"guest-ping","arguments":"{}"}',
                 b'{"execute":"guest-ping","arguments":1,"id":"x"}',
                 b'{"execute":"guest-ping","arguments":{}}',
                 b'{"execute":"guest-ping","arguments":{"a":1}}',
                 b'{"execute":"guest-ping","arguments":{"":1}}',
                 b'{"execute":"guest-ping","arguments":{"a.b[0]":1}}',
                 b'{"execute":"guest-ping","execute":"guest-ping"}',
                 b'{"execute":"guest-ping","\\u0065xecute":"guest-ping"}',
                 b'{"execute":"guest-ping","id":1,"id":1}',
                 b'{"execute":"guest-ping","id":1,"\\u0069d":1}',
                 b'{"execute":"guest-ping","id":{"a":1,"a":2}}',
                 b'{"execute":"guest-ping","id":[{"a":1,"\\u0061":2}]}',
                 b'{"execute":"guest-ping","arguments":{"a":1,"a":2}}',
                 b'{"a":1,"b":{"c":1,"c":1}}',
                 b'{"execute":"guest-get-memory-block-info","arguments":{"x":1}}',
                 b'{"execute":"guest-info","arguments":{"x":1},"id":3}']:
        yield text.decode("latin-1"), text


def _syncs():
    for value in [b"0", b"-0", b"1", b"-1", b"5", b"2147483648", b"4294967296",
                  b"9007199254740993", b"9223372036854775806", b"9223372036854775807",
                  b"9223372036854775808", b"-9223372036854775807", b"-9223372036854775808",
                  b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616",
                  b"99999999999999999999999999", b"1.0", b"1.5", b"-0.0", b"1e3", b"1E3", b"1e+3",
                  b"1e-3", b"1e400", b'"1"', b'""', b"null", b"true", b"false", b"[]", b"[1]",
                  b"{}", b"01", b"-01", b"+1", b"0x10", b".5", b"5.", b"1e", b"- 1", b"1 2"]:
        yield "sync " + value.decode("ascii"), sync(value) + b"\n" + PING
    yield "no id", b'{"execute":"guest-sync","arguments":{}}'
    yield "no arguments", b'{"execute":"guest-sync"}'
    yield "id and more", b'{"execute":"guest-sync","arguments":{"id":1,"x":2}}'
    yield "more, no id", b'{"execute":"guest-sync","arguments":{"x":2}}'
    yield "Id", b'{"execute":"guest-sync","arguments":{"Id":1}}'
    yield "delimited", b'{"execute":"guest-sync-delimited","arguments":{"id":1}}'
    yield "delimited with id", (
        b'{"execute":"guest-sync-delimited","arguments":{"id":1},"id":"x"}' + PING)
    yield "delimited no id", b'{"execute":"guest-sync-delimited"}' + PING
    yield "delimited bad id", (
        b'{"execute":"guest-sync-delimited","arguments":{"id":"1"}}' + PING)
    yield "ff and delimited", b'\xff{"execute":"guest-sync-delimited","arguments":{"id":1}}'
    yield "delimited twice", 2 * b'{"execute":"guest-sync-delimited","arguments":{"id":1}}'


def _ids():
    for value in [b"0", b"-1", b"9223372036854775807", b"-9223372036854775808",
                  b"9223372036854775808", b"18446744073709551615", b"1.5", b"-2.5e-3", b"1e2",
                  b"0.1", b'""', b'"a"', b"null", b"true", b"false", b"[]", b"{}", b"[1,[2,[3]]]",
                  b'{"a":{"b":[null,true,1.25]}}', b'"\\u00e9"', b'"\xc3\xa9"', b'"\\ud83d\\ude00"',
                  b'"\xf0\x9f\x98\x80"', b'"\\b\\f\\n\\r\\t\\/\\\\\\""', b'"\\u0001\\u001f\\u007f"',
                  b'"\x7f"', b'"\\ufffd"', b'"\xf4\x8f\xbf\xbd"', b'{"":1}', b'{"id":{"id":1}}']:
        yield "id " + value.decode("latin-1"), ping_id(value)
        yield "id in error " + value.decode("latin-1"), (
            b'{"execute":"nope","id":' + value + b"}")


def _strings():
    for value in [b'"\\x"', b'"\\a"', b'"\\0"', b'"\\U0041"', b'"\\u"', b'"\\u1"', b'"\\u12"',
                  b'"\\u123"', b'"\\u123g"', b'"\\u12"x', b'"\\ud800"', b'"\\ud800x"',
                  b'"\\ud800\\n"', b'"\\ud800\\u0041"', b'"\\ud800\\ud800"', b'"\\udc00"',
                  b'"\\udc00\\ud800"', b'"\\ufffe"', b'"\\uffff"', b'"\\ufdd0"',
                  b'"\\ud83f\\udffe"',
                  b'"\x80"', b'"\xbf"', b'"\xc3"', b'"\xc3("', b'"\xc1\xbf"', b'"\xe0\x80\xaf"',
                  b'"\xe2\x82"', b'"\xe2\x82\\n"', b'"\xed\xa0\x80"', b'"\xef\xbf\xbe"',
                  b'"\xef\xbf\xbf"', b'"\xf0\x80\x80\xaf"', b'"\xf0\x9f\x98"',
                  b'"\xf4\x90\x80\x80"',
                  b'"\xf8\x88\x80\x80\x80"', b'"\xfc\x84\x80\x80\x80\x80"', b'"\xe9"']:
        yield "string " + value.decode("latin-1"), ping_id(value) + b"\n" + PING


def _long():
    yield "long id", ping_id(b'"' + 50000 * b"a" + b'"')
    yield "long escaped id", ping_id(b'"' + 10000 * "é".encode() + b'"')
    yield "many ids", b"".join(ping_id(b'"' + 1000 * b"a" + b'"') for _ in range(300))
    yield "much white space", PING + 200000 * b" " + PING
    yield "white space inside", b'{"execute":' + 100000 * b"\n" + b'"guest-ping"}'
    yield "nested 63", ping_id(63 * b"[" + 63 * b"]")
    yield "nested objects", ping_id(60 * b'{"a":' + b"1" + 60 * b"}")
    yield "mostly array", ping_id(b"[" + b"1," * 10000 + b"1]")
    yield "256 members", ping_id(members(256))
    yield "long word", 500 * b"a" + b"\n" + PING
    yield "long name", b'{"execute":"' + 900 * b"n" + b'"}'
    yield "unbalanced deep", 60 * b"[" + b"\xff" + PING


def _differing():
    yield "escaped nul", ping_id(b'"a\\u0000b"'), "nul-in-string"
    yield "overlong nul", ping_id(b'"a\xc0\x80b"'), "nul-in-string"
    yield "nested 64", ping_id(64 * b"[" + 64 * b"]") + b"\n" + PING, "limits"
    yield "nested 400", ping_id(400 * b"[" + 400 * b"]") + b"\n" + PING, "limits"
    yield "many tokens", ping_id(b"[" + b"1," * 20000 + b"1]") + b"\n" + PING, "limits"
    for kind, wrap in [("id", ping_id), ("arguments", arguments)]:
        yield "257 members in " + kind, wrap(members(257)) + b"\n" + PING, "limits"
    yield "257 members", members(257) + b"\n" + PING, "limits"
    yield "a megabyte", ping_id(b'"' + (1 << 20) * b"a" + b'"') + b"\n" + PING, "limits"
    yield "id of 70000", ping_id(b'"' + 70000 * b"a" + b'"') + b"\n" + PING, "id-limit"
    yield "name of 2000", b'{"execute":"' + 2000 * b"n" + b'"}', "error-text-limit"
    yield "stray of 2000", b'"' + 2000 * b"n" + b"\n", "error-text-limit"
    yield "integer of 300 digits", ping_id(b"1" + 300 * b"0"), "number-echo"
    yield "huge exponent", ping_id(b"1e400"), "number-echo"
    yield "two unknown members", (
        b'{"execute":"guest-ping","zz":1,"aa":1,"mm":2,"bb":1}'), "order-of-complaints"
    yield "two unknown arguments", (
        b'{"execute":"guest-ping","arguments":{"zz":1,"aa":1,"mm":2,"bb":1}}'), \
        "order-of-complaints"
    yield "info", b'{"execute":"guest-info"}', "own-commands"


def all_cases():
    """Every case: (name, bytes, key or None)."""
    for group in (_framing, _resync, _grammar, _requests, _syncs, _ids, _strings, _long):
        for name, data in group():
            yield "%s: %s" % (group.__name__[1:], name), data, None
    for name, data, key in _differing():
        yield "differing: " + name, data, key
