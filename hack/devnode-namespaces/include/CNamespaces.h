// Network namespaces: what the Glibc module of Swift does not export.
#ifndef CNAMESPACES_H
#define CNAMESPACES_H

/// Makes a new network namespace and returns a file descriptor that keeps it, or -errno. Called on a thread
/// that ends afterwards: the thread stays in the new namespace.
int cns_new_network(void);

/// Moves the calling thread into a network namespace; 0 or -errno.
int cns_enter_network(int network);

#endif
