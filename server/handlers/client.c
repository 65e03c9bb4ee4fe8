/* Names of clients: a letter for their sort, and bytes. */
#include "server/handlers/client.h"

#include <arpa/inet.h>
#include <string.h>

/* Sorts of names, so that no key can be spelled like an address. */
enum { BY_KEY = 'k', BY_IPV4 = '4', BY_IPV6 = '6', BY_TEXT = 't' };

static size_t named(char *name, char sort, const void *bytes, size_t len)
{
    if (len > SRV_CLIENT_NAME_MAX - 1)
        len = SRV_CLIENT_NAME_MAX - 1;
    name[0] = sort;
    memcpy(name + 1, bytes, len);
    return 1 + len;
}

size_t srv_client_name(char *name, const char *key, const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (key[0])
        return named(name, BY_KEY, key, strlen(key));
    if (inet_pton(AF_INET, address, &v4) == 1)
        return named(name, BY_IPV4, &v4, sizeof(v4));
    if (inet_pton(AF_INET6, address, &v6) != 1)
        return named(name, BY_TEXT, address, strlen(address));
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        return named(name, BY_IPV4, &v6.s6_addr[12], 4);
    return named(name, BY_IPV6, &v6, 8);
}
