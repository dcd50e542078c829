/*
 * Ctrl-C as something to wait for, while a verb watches what goes on: it must not just end the
 * program and leave a job behind that nobody was asked about.
 */
#pragma once

/* From here on SIGINT and SIGTERM do nothing but make the descriptor readable. Returns it, or -1.
 */
int interrupt_open(void);
/* Takes one signal. Returns its number, 0: none came. */
int interrupt_take(int fd);
/* Signals end the program again; those that came and were not taken are forgotten. Accepts -1. */
void interrupt_close(int fd);
