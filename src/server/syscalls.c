/* The seccomp filter: a list of the system calls that weir and its libraries make after the start;
 * every other call, such as one that an attacker injects (exec, ptrace, mount, modules, keys,
 * namespaces, bpf, io_uring), fails with EPERM. The filter is classic BPF written by hand: it is
 * short and needs no library. */
#include "server/privileges.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0 /* not known here: no filter */
#endif

static const uint32_t allowed[] = {
    /* bytes */
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_lseek,
    SYS_close,
    /* sockets */
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_shutdown,
    /* waiting */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_ppoll,
    SYS_pselect6,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_futex,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_sched_yield,
    SYS_setpriority,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    SYS_restart_syscall,
    /* memory and threads */
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_mlock,
    SYS_munlock,
    SYS_clone,
    SYS_clone3,
    SYS_exit,
    SYS_exit_group,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_membarrier,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_prctl,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_tgkill,
    /* files: configuration, certificates, logs, sockets of ours that are stale */
    SYS_openat,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_faccessat,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_getdents64,
    SYS_getcwd,
    SYS_readlinkat,
    SYS_unlinkat,
    SYS_ioctl,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    /* facts */
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrusage,
    SYS_times,
    SYS_prlimit64,
    SYS_getrandom,
#if defined(__x86_64__) /* the same in their older forms, which the newer machines do not have */
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_unlink,
    SYS_pipe,
    SYS_dup2,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_arch_prctl,
    SYS_time,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_getdents,
    SYS_chmod,
    SYS_lchown,
#endif
};

enum { HEAD = 3, TAIL = 2 };

static void load(struct sock_filter *at, size_t offset)
{
    *at = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static void answer(struct sock_filter *at, uint32_t value)
{
    *at = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value);
}

static size_t build(struct sock_filter *code)
{
    size_t count = ARRAY_LEN(allowed), len = HEAD + 1;

    load(&code[0], offsetof(struct seccomp_data, arch));
    code[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
    answer(&code[2], SECCOMP_RET_KILL_PROCESS);
    load(&code[3], offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) {
        code[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
                                                   (uint8_t)(count - i), 0);
    }
    answer(&code[len++], SECCOMP_RET_ERRNO | EPERM);
    answer(&code[len++], SECCOMP_RET_ALLOW);
    return len;
}

int syscalls_restrict(struct err *err)
{
    struct sock_filter code[HEAD + 1 + ARRAY_LEN(allowed) + TAIL];
    struct sock_fprog program = {.filter = code};

    _Static_assert(ARRAY_LEN(allowed) < 255, "a jump reaches over the whole list");
    if (OUR_ARCH == 0)
        return err_set(err, "seccomp: no list of system calls for this processor");
    program.len = (unsigned short)build(code);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return err_set_errno(err, "cannot install the seccomp filter");
    return 0;
}
