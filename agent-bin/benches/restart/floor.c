/* The least that a service of Type=notify does, without a dynamic linker: READY=1, and an end at SIGTERM. */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void) {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path)
        return 1;
    memcpy(address.sun_path, path, strlen(path));
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (address.sun_path[0] == '@')
        address.sun_path[0] = 0;
    int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (to < 0 || sendto(to, "READY=1", 7, 0, (struct sockaddr *)&address, length) != 7)
        return 1;
    /* The watchdog of the unit is longer than the time between two restarts of the bench; pinging costs nothing. */
    const struct timespec pause = {.tv_sec = 10};
    while (sigtimedwait(&wanted, NULL, &pause) != SIGTERM)
        sendto(to, "WATCHDOG=1", 10, 0, (struct sockaddr *)&address, length);
    return 0;
}
