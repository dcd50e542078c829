/*
 * Small things about file descriptors that the C libraries of old distributions lack.
 */
#pragma once

/* Closes all descriptors from FIRST to LAST (inclusive; ~0U: no end). close_range(2) where the
 * kernel has it (5.9), a loop otherwise. Async-signal-safe. */
void fds_close_range(unsigned first, unsigned last);
