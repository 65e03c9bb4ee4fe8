/* Who asks, for turns in the queue: a key if the caller has one, else where the connection comes
 * from. */
#ifndef SRV_CLIENT_H
#define SRV_CLIENT_H

#include <stddef.h>

enum { SRV_CLIENT_NAME_MAX = 80 };

/* Into name, at most SRV_CLIENT_NAME_MAX bytes; how many. key "": none. An IPv4 address counts as a
 * whole, mapped into IPv6 or not; of an IPv6 address the first 64 bits, for whoever has one of them
 * has them all (RFC 4291, 2.5.4). What is no address, as "unix", counts as it is written. */
size_t srv_client_name(char *name, const char *key, const char *address);

#endif
