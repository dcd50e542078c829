/*
 * vsock-ask: a client of a vsock socket, from inside the guest.
 *
 * usage: vsock-ask CID PORT TEXT      prints what comes for TEXT up to a newline, or "closed"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

int main(int argc, char **argv)
{
    struct sockaddr_vm address = {.svm_family = AF_VSOCK};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    char byte;

    if (argc != 4 || fd < 0) {
        perror("vsock-ask");
        return 2;
    }
    address.svm_cid = (unsigned)strtoul(argv[1], NULL, 10);
    address.svm_port = (unsigned)strtoul(argv[2], NULL, 10);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("vsock-ask: connect");
        return 1;
    }
    if (send(fd, argv[3], strlen(argv[3]), MSG_NOSIGNAL) < 0)
        perror("vsock-ask: send");
    while (read(fd, &byte, 1) == 1) {
        putchar(byte);
        if (byte == '\n')
            return 0;
    }
    puts("closed");
    return 0;
}
