#ifndef CLIP_PUBLIC_ADDRESS_H
#define CLIP_PUBLIC_ADDRESS_H

#include <sys/socket.h>

// Returns 1 for the address of a host of the public internet (see clip_http_is_public) that is
// neither this machine nor in the network of one of its interfaces.
int clip_is_public_address(const struct sockaddr *address);

#endif
