// What the Glibc module of Swift does not export. _GNU_SOURCE is defined in the .c file only: in this header it
// would change types that the module map has already seen.
#ifndef CLINUX_H
#define CLINUX_H

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

/// accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC.
int clinux_accept(int listener, struct sockaddr *address, socklen_t *length);

/// pipe2(2), non-blocking and close-on-exec, with room for `capacity` bytes; -1 also when the user may have no more of that.
int clinux_pipe(int *output, int *input, int capacity);

/// splice(2) between a pipe and a socket, without waiting for the pipe.
ssize_t clinux_splice(int from, int to, size_t count);

/// POLLRDHUP of poll(2): the other side has ended its direction.
extern const short clinux_poll_ended;

/// How many processors sched_getaffinity(2) lets the calling thread run on; 0 when that cannot be told.
int clinux_processors(void);

/// How many bytes a TCP socket holds that the other end has not acknowledged, sent or not (SIOCOUTQ); -1 on failure.
int clinux_unacknowledged(int socket);

/// 1 when a TCP socket has sent something, bytes or a probe of a closed window, three times without an answer; 0 when
/// not; -1 on failure.
///
/// `silence` becomes the milliseconds since the other end acknowledged anything, bytes or a probe (TCP_INFO).
int clinux_is_unanswered(int socket, unsigned *silence);

/// The least round trip that a TCP socket has seen lately, and the most that the smoothed one and its variation make
/// likely, in microseconds; all ones before the first (TCP_INFO). 0 on success, -1 on failure.
int clinux_round_trip(int socket, unsigned *least, unsigned *most);

/// 1 when somebody has the regular file behind this read-only descriptor open for writing, 0 when nobody has; -1 when that
/// cannot be told: the file is another user's and the process has no CAP_LEASE, or the file system knows no leases.
int clinux_has_writer(int file);

/// pthread_setname_np(3) for the calling thread; names longer than 15 bytes are refused.
int clinux_name_thread(const char *name);

/// Gives memory that the allocator keeps free back to the kernel.
void clinux_trim_heap(void);

#endif
