/* Addresses: "HOST:PORT", "[IPv6]:PORT", ":PORT" or "unix:PATH". ":PORT" is every
 * IPv4 address to listen at, and this host to connect to. Any thread; what looks names up may take
 * long. A static program knows no names but localhost, which is 127.0.0.1.
 */
#ifndef SRV_ADDRESS_H
#define SRV_ADDRESS_H

#include <stddef.h>

struct addrinfo;
struct sockaddr_un;

/* Writes "ADDRESS: what the errno means"; -error. */
int srv_address_fail(char *err, size_t errlen, const char *address, int error);
/* One that is not "unix:", of streams; flags: AI_PASSIVE to listen, or 0. The list is freed by
 * freeaddrinfo(). -EINVAL, -EADDRNOTAVAIL. */
int srv_address_resolve(struct addrinfo **ret, const char *address, int flags, char *err,
                        size_t errlen);
/* One that is. -ENAMETOOLONG: too long for a socket, or no path at all. */
int srv_address_unix(struct sockaddr_un *ret, const char *address, char *err, size_t errlen);

/* Connects (blocking, with a time limit) to such an address; 0.0.0.0 and [::] mean this host. */
int srv_connect(int *ret_fd, const char *address, int timeout_ms, char *err, size_t errlen);

#endif
