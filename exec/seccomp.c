#include "exec/bundle_internal.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>

/*
 * What any program may ask of the kernel. A name that this kernel or the
 * runtime's library does not know is skipped by the runtime. What is not here:
 * mounts, modules, namespaces, tracing of the kernel, its clock, its keyrings, io_uring.
 */
static const char *const allowed[] = {
    "_llseek",
    "_newselect",
    "accept",
    "accept4",
    "access",
    "adjtimex",
    "alarm",
    "bind",
    "brk",
    "cachestat",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "chroot",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "close",
    "close_range",
    "connect",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fanotify_mark",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fork",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futex",
    "futex_requeue",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "futimesat",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getcwd",
    "getdents",
    "getdents64",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getitimer",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "getuid32",
    "getxattr",
    "getxattrat",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
    "io_setup",
    "io_submit",
    "ioctl",
    "ioprio_get",
    "ioprio_set",
    "ipc",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "listmount",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "lstat64",
    "madvise",
    "map_shadow_stack",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "mincore",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "mprotect",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
    "mq_unlink",
    "mremap",
    "mseal",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "name_to_handle_at",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "poll",
    "ppoll",
    "ppoll_time64",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "pselect6",
    "pselect6_time64",
    "ptrace",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "remap_file_pages",
    "removexattr",
    "removexattrat",
    "rename",
    "renameat",
    "renameat2",
    "restart_syscall",
    "rmdir",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "select",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "send",
    "sendfile",
    "sendfile64",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setrlimit",
    "setsid",
    "setsockopt",
    "setuid",
    "setuid32",
    "setxattr",
    "setxattrat",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "sigprocmask",
    "sigreturn",
    "socketcall",
    "socketpair",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statmount",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "sysinfo",
    "tee",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    "times",
    "tkill",
    "truncate",
    "truncate64",
    "ugetrlimit",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "uretprobe",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "vfork",
    "vmsplice",
    "wait4",
    "waitid",
    "waitpid",
    "write",
    "writev",
};

/* Calls of one family of machines only. */
static const char *const allowed_here[] = {
#if defined(__x86_64__) || defined(__i386__)
    "arch_prctl",
    "modify_ldt",
#elif defined(__aarch64__) || defined(__arm__)
    "arm_fadvise64_64",
    "arm_sync_file_range",
    "breakpoint",
    "cacheflush",
    "set_tls",
    "sync_file_range2",
#elif defined(__powerpc64__)
    "swapcontext",
    "sync_file_range2",
#elif defined(__s390x__)
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "s390_runtime_instr",
#elif defined(__riscv)
    "riscv_flush_icache",
    "riscv_hwprobe",
#endif
    NULL,
};

static const char *const architectures[] = {
#if defined(__x86_64__)
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
#elif defined(__i386__)
    "SCMP_ARCH_X86",
#elif defined(__aarch64__)
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
#elif defined(__arm__)
    "SCMP_ARCH_ARM",
#elif defined(__powerpc64__)
    "SCMP_ARCH_PPC64LE",
#elif defined(__s390x__)
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_S390",
#elif defined(__riscv)
    "SCMP_ARCH_RISCV64",
#endif
    NULL,
};

#define NEW_NAMESPACES                                                                            \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)

#if defined(__s390x__)
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif

/*
 * Calls that are allowed when one argument is right; several rows of a call
 * are alternatives. Runtimes don't join two conditions on one argument, hence
 * sockets as "below AF_ALG, or between, or above AF_VSOCK": the kernel's
 * cryptography and the channel to the hypervisor are no business of a step.
 */
static const struct condition {
    const char *name;
    unsigned arg;
    const char *op;
    uint64_t value;
} conditions[] = {
    { "clone", CLONE_FLAGS_ARG, "SCMP_CMP_MASKED_EQ", NEW_NAMESPACES },
    { "personality", 0, "SCMP_CMP_EQ", PER_LINUX },
    { "personality", 0, "SCMP_CMP_EQ", PER_LINUX32 },
    { "personality", 0, "SCMP_CMP_EQ", UNAME26 },
    { "personality", 0, "SCMP_CMP_EQ", UNAME26 | PER_LINUX32 },
    { "personality", 0, "SCMP_CMP_EQ", UINT32_MAX }, /* asks only */
    { "socket", 0, "SCMP_CMP_LT", AF_ALG },
    { "socket", 0, "SCMP_CMP_EQ", AF_ALG + 1 },
    { "socket", 0, "SCMP_CMP_GT", AF_VSOCK },
};
_Static_assert(AF_VSOCK == AF_ALG + 2, "one family lies between them");

static json_t *rule(const char *action)
{
    json_t *r = json_object();

    json_object_set_new(r, "names", json_array());
    json_object_set_new(r, "action", json_string(action));
    return r;
}

static void rule_add(json_t *r, const char *name)
{
    json_array_append_new(json_object_get(r, "names"), json_string(name));
}

static json_t *conditional(const struct condition *c)
{
    json_t *r = rule("SCMP_ACT_ALLOW");
    json_t *arg = json_object();
    bool is_masked = strcmp(c->op, "SCMP_CMP_MASKED_EQ") == 0;

    rule_add(r, c->name);
    json_object_set_new(arg, "index", json_integer(c->arg));
    json_object_set_new(arg, "value", json_integer((json_int_t)c->value));
    if (is_masked) /* value is the mask, valueTwo what must be left of it: nothing */
        json_object_set_new(arg, "valueTwo", json_integer(0));
    json_object_set_new(arg, "op", json_string(c->op));
    json_object_set_new(r, "args", json_array());
    json_array_append_new(json_object_get(r, "args"), arg);
    return r;
}

/* Its flags lie in memory that a filter cannot look into; told that it isn't there, libcs use
 * clone. */
static json_t *no_clone3(void)
{
    json_t *r = rule("SCMP_ACT_ERRNO");

    rule_add(r, "clone3");
    json_object_set_new(r, "errnoRet", json_integer(ENOSYS));
    return r;
}

static json_t *syscalls(void)
{
    json_t *list = json_array();
    json_t *plain = rule("SCMP_ACT_ALLOW");

    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        rule_add(plain, allowed[i]);
    for (size_t i = 0; allowed_here[i] != NULL; i++)
        rule_add(plain, allowed_here[i]);
    json_array_append_new(list, plain);
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
        json_array_append_new(list, conditional(&conditions[i]));
    json_array_append_new(list, no_clone3());
    return list;
}

json_t *seccomp_profile(void)
{
    json_t *p = json_object();
    json_t *arches = json_array();

    for (size_t i = 0; architectures[i] != NULL; i++)
        json_array_append_new(arches, json_string(architectures[i]));
    json_object_set_new(p, "defaultAction", json_string("SCMP_ACT_ERRNO"));
    json_object_set_new(p, "defaultErrnoRet", json_integer(EPERM));
    json_object_set_new(p, "architectures", arches);
    json_object_set_new(p, "syscalls", syscalls());
    return p;
}
