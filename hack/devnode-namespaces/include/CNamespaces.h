// Starting processes in namespaces of their own: what a container runtime needs and posix_spawn cannot do.
#ifndef CNAMESPACES_H
#define CNAMESPACES_H

#include <stddef.h>
#include <sys/types.h>

/// What one entry of a container's mount table is.
enum cns_mount_kind {
    CNS_MOUNT_DIRECTORY = 0, // bind mount of a directory, recursively
    CNS_MOUNT_FILE = 1,      // bind mount of a file
    CNS_MOUNT_PROC = 2,      // a new procfs of the process's PID namespace
    CNS_MOUNT_TMPFS = 3,     // a new tmpfs; source holds its options
};

/// One mount of a container; `target` is an absolute path inside its root.
struct cns_mount {
    const char *source;
    const char *target;
    int kind;
    int read_only;
};

/// A process to start. Strings are borrowed for the call only.
struct cns_process {
    const char *path;        // with '/', or looked up in PATH of `envp` inside the new root
    char *const *argv;
    char *const *envp;
    const char *directory;   // NULL: "/"
    int network;             // a network namespace to join; -1: the caller's
    int input;               // becomes fd 0; -1: /dev/null
    int output;              // becomes fd 1 and 2
    int isolated;            // own PID, mount and UTS namespaces; the fields below count only then
    const char *hostname;
    const char *overlay;     // mount options of the overlay that becomes the root
    const char *root;        // an existing directory for it
    int read_only_root;      // the root and every tmpfs of `mounts` can only be read
    const struct cns_mount *mounts;
    size_t mount_count;
};

/// Starts a process and waits until it has reached exec.
///
/// Returns its PID in the caller's PID namespace, or -errno; `step` then names what failed (static text).
pid_t cns_spawn(const struct cns_process *process, const char **step);

/// Makes a new network namespace and returns a file descriptor that keeps it, or -errno. Called on a thread
/// that ends afterwards: the thread stays in the new namespace.
int cns_new_network(void);

/// Moves the calling thread into a network namespace; 0 or -errno.
int cns_enter_network(int network);

/// Mounts a tmpfs; 0 or -errno.
int cns_mount_tmpfs(const char *target, const char *options);

/// Detaches the mount at a path; 0 or -errno.
int cns_unmount(const char *target);

/// Waits for any child; its PID with `status` set, or -errno.
pid_t cns_wait_any(int *status);

/// The exit code of a wait status: 0...255, or 128 + the signal that ended it.
int cns_exit_code(int status);

/// The file from which this process has a symbol, or NULL.
const char *cns_library(const char *symbol);

#endif
