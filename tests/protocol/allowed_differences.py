"""Where memplugd answers other than qemu-ga, on purpose: the one list; docs/protocol.md quotes it.

A case of the differential suite that differs names its key in ALLOWED; a key that no case needs any
more, and a difference that no key explains, fail the suite.
"""

ALLOWED = {
    "nul-in-string":
        "A string with U+0000 is refused: as \\u0000, and as the overlong bytes C0 80 that qemu-ga "
        "takes for it. No name that a command knows has one, and C strings end there.",
    "limits":
        "A message may have 1 MiB, 32 Ki tokens and 64 levels (qemu-ga: 64 MiB, 2 Mi, 1024), an "
        "object in it 256 members. What is over a limit is one error, and the rest of it is "
        "skipped until it balances or 0xFF comes, instead of being read as new messages.",
    "id-limit":
        "An id may have 64 KiB of text: it is echoed, and a request may cost 8 MiB at most.",
    "error-text-limit":
        "An error quotes at most 1 KiB of a name and 1023 bytes of what is malformed.",
    "number-echo":
        "An id is echoed digit for digit. qemu-ga echoes a number beyond a double's range as inf, "
        "which is not JSON, and rounds one with more digits than a double has.",
    "order-of-complaints":
        "Of several faults in one request the first in the text is named; qemu-ga names the first "
        "in the order of its hash table.",
    "own-commands":
        "guest-info lists memplugd's commands and version; commands of qemu-ga's that have nothing "
        "to do with memory (guest-exec, guest-file-open, ...) are not found.",
}

# What qemu-ga 7.2, which Debian 12 has, did otherwise than the newest, as which memplugd answers.
OLDER = {
    "json-error-words":
        "7.2 has other words for malformed JSON (missing : in object pair, expected separator in dict, key is "
        "not a string in object), and says them when the braces balance, or \"stray\" where 0xFF comes before "
        "that. The newest says them at the first token that cannot be, with LINE:COL: in front, which memplugd "
        "leaves out.",
    "blocked-words":
        "Of a blocked command 7.2 says that it has been disabled, without \": the command is not allowed\".",
}

# Differences that the suite cannot show: it never sends to qemu-ga what might change the machine,
# and does not reconnect in the middle of a request.
NOT_SHOWN = {
    "unsigned-range":
        "A uint64 argument (phys-index) below 0 or above 2^63 - 1 is an error; qemu-ga wraps the "
        "negative ones round and then finds no such block.",
    "guest-set-memory-blocks":
        "It brings memory online where the policy says, answers within 4 s, and leaves a block alone that "
        "already is as asked. A block of which can-offline is false is not tried: operation-failed at once.",
    "guest-get-memory-blocks":
        "It is sorted, leaves a block out that vanishes meanwhile, and tells of can-offline what "
        "the block's zone allows.",
    "parser-per-connection":
        "Half a request ends with its connection; qemu-ga puts the next client's bytes behind it.",
    "sync-drops-stale-output":
        "guest-sync-delimited drops replies that lay unsent before it was read.",
}
