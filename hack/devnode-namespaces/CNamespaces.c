#define _GNU_SOURCE
#include "CNamespaces.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Everything from clone to exec runs in a copy of a process that has other threads: only system calls and
// functions on buffers of the own stack, no allocation, no locks.

struct failure {
    int error;
    const char *step; // the child's address space is a copy of the parent's, so the pointer is good there too
};

static int make_directories(char *path) {
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        int result = mkdir(path, 0755);
        *p = '/';
        if (result != 0 && errno != EEXIST) return -1;
    }
    return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -1;
}

/// Where the caller's root is seen from inside the new one while mounts are made.
#define OLD_ROOT "/.devnode-old-root"

/// Makes what is to be mounted on, a directory or an empty file, and copies its path to `path`.
static int make_target(char *path, size_t size, const struct cns_mount *m) {
    size_t length = strlen(m->target);
    if (length + 1 > size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, m->target, length + 1);
    if (m->kind != CNS_MOUNT_FILE) return make_directories(path);
    char *slash = strrchr(path, '/');
    if (slash != path) {
        *slash = 0;
        int made = make_directories(path);
        *slash = '/';
        if (made != 0) return -1;
    }
    struct stat status;
    // A link such as /etc/resolv.conf may lead to a file that other links lead to: replaced, not followed.
    if (lstat(path, &status) == 0 && S_ISLNK(status.st_mode) && unlink(path) != 0) return -1;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    return close(fd);
}

static const char *mount_one(const struct cns_mount *m) {
    char path[PATH_MAX], source[PATH_MAX];
    if (make_target(path, sizeof path, m) != 0) return "make a mount point";
    switch (m->kind) {
    case CNS_MOUNT_PROC:
        return mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 ? NULL : "mount proc";
    case CNS_MOUNT_TMPFS:
        return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, m->source) == 0 ? NULL : "mount tmpfs";
    default:
        if (strlen(OLD_ROOT) + strlen(m->source) + 1 > sizeof source) {
            errno = ENAMETOOLONG;
            return "name a volume";
        }
        memcpy(source, OLD_ROOT, strlen(OLD_ROOT));
        memcpy(source + strlen(OLD_ROOT), m->source, strlen(m->source) + 1);
        if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) != 0) return "bind a volume";
        if (m->read_only && mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
            return "make a volume read-only";
        }
        return NULL;
    }
}

static const char *enter_root(const struct cns_process *p) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return "make mounts private";
    if (mount("overlay", p->root, "overlay", 0, p->overlay) != 0) return "mount the root overlay";
    if (chdir(p->root) != 0) return "enter the root";
    if (mkdir(&OLD_ROOT[1], 0700) != 0) return "make a place for the old root";
    if (syscall(SYS_pivot_root, ".", &OLD_ROOT[1]) != 0) return "pivot the root";
    if (chdir("/") != 0) return "enter the root";
    // Only now: links in a target's path (/var/run) lead where they lead inside.
    for (size_t i = 0; i < p->mount_count; i++) {
        const char *step = mount_one(&p->mounts[i]);
        if (step) return step;
    }
    if (umount2(OLD_ROOT, MNT_DETACH) != 0) return "detach the old root";
    rmdir(OLD_ROOT);
    if (p->read_only_root) {
        // Last, for mount points are made in the root and in its tmpfs.
        const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
        if (mount(NULL, "/", NULL, flags, NULL) != 0) return "make the root read-only";
        for (size_t i = 0; i < p->mount_count; i++) {
            if (p->mounts[i].kind != CNS_MOUNT_TMPFS) continue;
            if (mount(NULL, p->mounts[i].target, NULL, flags, NULL) != 0) return "make a tmpfs read-only";
        }
    }
    if (p->hostname && sethostname(p->hostname, strlen(p->hostname)) != 0) return "set the host name";
    return NULL;
}

static const char *variable(char *const *envp, const char *name) {
    size_t length = strlen(name);
    for (; *envp; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') return *envp + length + 1;
    }
    return NULL;
}

static void execute(const struct cns_process *p) {
    if (strchr(p->path, '/')) {
        execve(p->path, p->argv, p->envp);
        return;
    }
    const char *search = variable(p->envp, "PATH");
    if (!search) search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char path[PATH_MAX];
    size_t name = strlen(p->path);
    errno = ENOENT;
    while (*search) {
        size_t length = strcspn(search, ":");
        if (length > 0 && length + name + 2 <= sizeof path) {
            memcpy(path, search, length);
            path[length] = '/';
            memcpy(path + length + 1, p->path, name + 1);
            execve(path, p->argv, p->envp);
            if (errno != ENOENT && errno != ENOTDIR) return;
        }
        search += length + (search[length] == ':');
    }
    errno = ENOENT;
}

static void reset_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int s = 1; s < NSIG; s++) sigaction(s, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *run_child(const struct cns_process *p) {
    reset_signals();
    setsid();
    if (p->network >= 0 && setns(p->network, CLONE_NEWNET) != 0) return "join the network namespace";
    int input = p->input >= 0 ? p->input : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, 0) < 0) return "open the input";
    if (dup2(p->output, 1) < 0 || dup2(p->output, 2) < 0) return "open the output";
    if (p->isolated) {
        const char *step = enter_root(p);
        if (step) return step;
    }
    if (chdir(p->directory ? p->directory : "/") != 0) return "enter the working directory";
    syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
    execute(p);
    return "execute the program";
}

pid_t cns_spawn(const struct cns_process *p, const char **step) {
    int report[2];
    *step = "make a pipe";
    if (pipe2(report, O_CLOEXEC) != 0) return -errno;
    unsigned long flags = SIGCHLD;
    if (p->isolated) flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS;
    // Blocked, so that no handler of this process runs in the child before it has reset them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    // Not fork(): its handlers take locks that another thread may hold, and flags are needed.
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid == 0) {
        struct failure failure;
        failure.step = run_child(p);
        failure.error = errno;
        if (write(report[1], &failure, sizeof failure) < 0) _exit(126);
        _exit(127);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    *step = "clone";
    if (pid < 0) {
        close(report[0]);
        return -error;
    }
    struct failure failure;
    ssize_t got;
    do got = read(report[0], &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got == sizeof failure) {
        *step = failure.step;
        return -failure.error; // its zombie is for whoever waits for any child
    }
    return pid;
}

int cns_new_network(void) {
    if (unshare(CLONE_NEWNET) != 0) return -errno;
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cns_enter_network(int network) { return setns(network, CLONE_NEWNET) == 0 ? 0 : -errno; }

int cns_mount_tmpfs(const char *target, const char *options) {
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0 ? 0 : -errno;
}

int cns_unmount(const char *target) { return umount2(target, MNT_DETACH) == 0 ? 0 : -errno; }

pid_t cns_wait_any(int *status) {
    pid_t pid = waitpid(-1, status, 0);
    return pid < 0 ? -errno : pid;
}

int cns_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

const char *cns_library(const char *symbol) {
    Dl_info found;
    void *address = dlsym(RTLD_DEFAULT, symbol);
    return address && dladdr(address, &found) != 0 ? found.dli_fname : NULL;
}
