"""Where memplugd answers other than qemu-ga, on purpose: the one list, which docs/protocol.md quotes.

Each entry is (key, reason). A case of the differential suite that differs names its key; a key that
no case needs any more, and a difference that no key explains, fail the suite.
"""

ALLOWED = {
    "exponent-after-zero":
        "RFC 8259 allows 0e1; qemu-ga reads it as the number 0 and the word e1.",
    "nul-in-string":
        "A string with U+0000 is refused: as \\u0000, and as the overlong bytes C0 80 that qemu-ga "
        "takes for it. No name that a command knows has one, and C strings end there.",
    "limits":
        "A message may have 1 MiB, 32 Ki tokens and 64 levels (qemu-ga: 64 MiB, 2 Mi, 1024). What is "
        "over a limit is one error, and the rest of it is skipped until it balances or 0xFF comes, "
        "instead of being read as new messages.",
    "id-limit":
        "An id may have 64 KiB of text: it is echoed, and a request may cost 8 MiB at most.",
    "error-text-limit":
        "An error quotes at most 1 KiB of a name and 1023 bytes of what is malformed.",
    "number-echo":
        "An id is echoed digit for digit. qemu-ga echoes a number beyond a double's range as inf, "
        "which is not JSON, and rounds one with more digits than a double has.",
    "order-of-complaints":
        "Of several faults in one request the first in the text is named; qemu-ga names the first in "
        "the order of its hash table.",
    "own-commands":
        "guest-info lists memplugd's commands and version; commands of qemu-ga's that have nothing to "
        "do with memory (guest-exec, guest-file-open, ...) are not found.",
}
