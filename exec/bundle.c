#include "exec/bundle_internal.h"

#include <ctype.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>

#define OCI_VERSION "1.0.2"
#define SHM "/dev/shm"
#define SYS "/sys"
#define PTS "/dev/pts"
#define TTY_GID 5 /* the group "tty" of every distribution */

/* By number. What a step gets unless it is insecure is marked. */
static const struct capability {
    const char *name;
    bool is_default;
} capabilities[] = {
    [CAP_CHOWN] = { "CAP_CHOWN", true },
    [CAP_DAC_OVERRIDE] = { "CAP_DAC_OVERRIDE", true },
    [CAP_DAC_READ_SEARCH] = { "CAP_DAC_READ_SEARCH", false },
    [CAP_FOWNER] = { "CAP_FOWNER", true },
    [CAP_FSETID] = { "CAP_FSETID", true },
    [CAP_KILL] = { "CAP_KILL", true },
    [CAP_SETGID] = { "CAP_SETGID", true },
    [CAP_SETUID] = { "CAP_SETUID", true },
    [CAP_SETPCAP] = { "CAP_SETPCAP", true },
    [CAP_LINUX_IMMUTABLE] = { "CAP_LINUX_IMMUTABLE", false },
    [CAP_NET_BIND_SERVICE] = { "CAP_NET_BIND_SERVICE", true },
    [CAP_NET_BROADCAST] = { "CAP_NET_BROADCAST", false },
    [CAP_NET_ADMIN] = { "CAP_NET_ADMIN", false },
    [CAP_NET_RAW] = { "CAP_NET_RAW", true },
    [CAP_IPC_LOCK] = { "CAP_IPC_LOCK", false },
    [CAP_IPC_OWNER] = { "CAP_IPC_OWNER", false },
    [CAP_SYS_MODULE] = { "CAP_SYS_MODULE", false },
    [CAP_SYS_RAWIO] = { "CAP_SYS_RAWIO", false },
    [CAP_SYS_CHROOT] = { "CAP_SYS_CHROOT", true },
    [CAP_SYS_PTRACE] = { "CAP_SYS_PTRACE", false },
    [CAP_SYS_PACCT] = { "CAP_SYS_PACCT", false },
    [CAP_SYS_ADMIN] = { "CAP_SYS_ADMIN", false },
    [CAP_SYS_BOOT] = { "CAP_SYS_BOOT", false },
    [CAP_SYS_NICE] = { "CAP_SYS_NICE", false },
    [CAP_SYS_RESOURCE] = { "CAP_SYS_RESOURCE", false },
    [CAP_SYS_TIME] = { "CAP_SYS_TIME", false },
    [CAP_SYS_TTY_CONFIG] = { "CAP_SYS_TTY_CONFIG", false },
    [CAP_MKNOD] = { "CAP_MKNOD", true },
    [CAP_LEASE] = { "CAP_LEASE", false },
    [CAP_AUDIT_WRITE] = { "CAP_AUDIT_WRITE", true },
    [CAP_AUDIT_CONTROL] = { "CAP_AUDIT_CONTROL", false },
    [CAP_SETFCAP] = { "CAP_SETFCAP", true },
    [CAP_MAC_OVERRIDE] = { "CAP_MAC_OVERRIDE", false },
    [CAP_MAC_ADMIN] = { "CAP_MAC_ADMIN", false },
    [CAP_SYSLOG] = { "CAP_SYSLOG", false },
    [CAP_WAKE_ALARM] = { "CAP_WAKE_ALARM", false },
    [CAP_BLOCK_SUSPEND] = { "CAP_BLOCK_SUSPEND", false },
    [CAP_AUDIT_READ] = { "CAP_AUDIT_READ", false },
    [CAP_PERFMON] = { "CAP_PERFMON", false },
    [CAP_BPF] = { "CAP_BPF", false },
    [CAP_CHECKPOINT_RESTORE] = { "CAP_CHECKPOINT_RESTORE", false },
};

static const char *const masked_paths[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
};

static const char *const read_only_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* What --security=insecure shows in /dev besides, as BuildKit does. */
static const struct device {
    const char *path;
    int major, minor;
} insecure_devices[] = {
    { "/dev/kmsg", 1, 11 },  { "/dev/cuse", 10, 203 },    { "/dev/fuse", 10, 229 },
    { "/dev/kvm", 10, 232 }, { "/dev/net/tun", 10, 200 }, { "/dev/loop-control", 10, 237 },
};
#define LOOP_MAJOR 7

/* Options in one string; insecure: those of --security=insecure, NULL where they are the same. */
static const struct base_mount {
    const char *target, *type, *source, *options, *insecure;
    bool needs_cgroup;
} base_mounts[] = {
    { "/proc", "proc", "proc", "nosuid,noexec,nodev", NULL, false },
    { "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k", NULL, false },
    { PTS, "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620", NULL, false },
    { SHM, "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k", NULL, false },
    { "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev", NULL, false },
    { SYS, "sysfs", "sysfs", "nosuid,noexec,nodev,ro", "nosuid,noexec,nodev", false },
    { "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,ro", "nosuid,noexec,nodev", true },
};

static json_t *strings(const char *const *v, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(v[i]));
    return list;
}

static json_t *options(const char *text)
{
    AUTO(strv_release) struct strv v = STRV_INIT;

    strv_split(&v, text, ',');
    return json_from_strv(&v);
}

/*
 * Without cgroups nothing keeps a step from a disk whose device node it makes or finds in what is
 * mounted, so it may neither make nor open any.
 */
static bool may_use_devices(const struct bundle *b)
{
    return b->spec->insecure || b->cgroup != NULL;
}

/* Only what this process could give away itself. */
static json_t *capability_names(const struct bundle *b)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        if (!b->spec->insecure && !capabilities[i].is_default)
            continue;
        if (i == CAP_MKNOD && !may_use_devices(b))
            continue;
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            json_array_append_new(list, json_string(capabilities[i].name));
    }
    return list;
}

/*
 * As Docker: a user other than root has none to begin with, and may get them from set-uid files.
 * Insecure, as BuildKit: everybody has all of them, and what they start too.
 */
static json_t *process_capabilities(const struct bundle *b)
{
    json_t *sets = json_object();
    json_t *all = capability_names(b);
    bool insecure = b->spec->insecure;
    json_t *own = b->spec->user->uid == 0 || insecure ? json_copy(all) : json_array();

    json_object_set_new(sets, "bounding", all);
    json_object_set(sets, "effective", own);
    json_object_set_new(sets, "permitted", own);
    json_object_set_new(sets, "inheritable", insecure ? json_copy(all) : json_array());
    json_object_set_new(sets, "ambient", insecure ? json_copy(all) : json_array());
    return sets;
}

static bool has_group(const struct bundle *b, uint32_t gid)
{
    return b->ns == NULL || userns_has_gid(b->ns, gid);
}

/* The primary group is named as supplementary too, else a "negative" group permission is passed by.
 * Others that a user namespace does not have cannot be given.
 */
static json_t *process_user(const struct bundle *b)
{
    const struct user_ids *u = b->spec->user;
    json_t *user = json_object();
    json_t *groups = json_array();
    bool has_primary = false;

    for (size_t i = 0; i < u->n_groups; i++)
        has_primary |= u->groups[i] == u->gid;
    if (!has_primary)
        json_array_append_new(groups, json_integer(u->gid));
    for (size_t i = 0; i < u->n_groups; i++)
        if (has_group(b, u->groups[i]))
            json_array_append_new(groups, json_integer(u->groups[i]));
    json_object_set_new(user, "uid", json_integer(u->uid));
    json_object_set_new(user, "gid", json_integer(u->gid));
    json_object_set_new(user, "additionalGids", groups);
    return user;
}

/* Numbers of the specification are unsigned, the library's are not: see bundle_write. */
static json_t *limit_value(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *rlimits(const struct bundle *b)
{
    json_t *list = json_array();

    for (size_t i = 0; i < b->n_ulimits; i++) {
        const struct exec_ulimit *u = &b->ulimits[i];
        AUTO(buf_release) struct buf type = BUF_INIT;
        json_t *r = json_object();
        buf_adds(&type, "RLIMIT_");
        for (const char *p = u->name; *p != '\0'; p++)
            buf_addc(&type, (char)toupper((unsigned char)*p));
        json_object_set_new(r, "type", json_string(buf_str(&type)));
        json_object_set_new(r, "soft", limit_value(u->soft));
        json_object_set_new(r, "hard", limit_value(u->hard));
        json_array_append_new(list, r);
    }
    return list;
}

static json_t *process(const struct bundle *b)
{
    const struct exec_spec *spec = b->spec;
    json_t *p = json_object();

    json_object_set_new(p, "terminal", json_boolean(spec->interactive && spec->tty));
    json_object_set_new(p, "user", process_user(b));
    json_object_set_new(p, "args", json_from_strv(spec->argv));
    json_object_set_new(p, "env", json_from_strv(spec->env));
    json_object_set_new(p, "cwd", json_from_str(spec->cwd));
    json_object_set_new(p, "capabilities", process_capabilities(b));
    json_object_set_new(p, "noNewPrivileges", json_false());
    if (b->n_ulimits > 0)
        json_object_set_new(p, "rlimits", rlimits(b));
    return p;
}

static json_t *mount_object(const char *target, const char *type, const char *source, json_t *opts)
{
    json_t *m = json_object();

    json_object_set_new(m, "destination", json_from_str(target));
    json_object_set_new(m, "type", json_string(type));
    json_object_set_new(m, "source", json_from_str(source));
    json_object_set_new(m, "options", opts);
    return m;
}

/* What the source's own mount forbids has to be said again: mounting it read-only forgets that. */
static json_t *bind_mount(const struct bundle *b, const struct bundle_mount *m)
{
    AUTO(mem_free)
    char *o = str_printf("bind,rprivate%s%s", m->read_only || m->is_secret ? ",ro" : "",
                         m->is_secret          ? ",nosuid,nodev,noexec"
                         : !may_use_devices(b) ? ",nodev"
                                               : "");
    return mount_object(m->target, "bind", m->source, options(o));
}

static json_t *step_mount(const struct bundle *b, const struct bundle_mount *m)
{
    if (m->source != NULL)
        return bind_mount(b, m);
    AUTO(buf_release) struct buf o = BUF_INIT;
    buf_adds(&o, "nosuid"); /* builds run what they have put into a tmpfs */
    if (m->mode != 0)
        buf_addf(&o, ",mode=%o", m->mode);
    if (m->size > 0)
        buf_addf(&o, ",size=%llu", (unsigned long long)m->size);
    if (m->read_only)
        buf_adds(&o, ",ro");
    return mount_object(m->target, "tmpfs", "tmpfs", options(buf_str(&o)));
}

static bool has_target(const struct bundle *b, const char *target)
{
    for (size_t i = 0; i < b->n_mounts; i++)
        if (str_eq(b->mounts[i].target, target))
            return true;
    return false;
}

static void add_host_file(const struct bundle *b, json_t *list, const char *source,
                          const char *target)
{
    if (target != NULL && !has_target(b, target))
        json_array_append_new(
            list, mount_object(target, "bind", source, options("bind,ro,nosuid,noexec,nodev")));
}

static json_t *base_options(const struct bundle *b, const struct base_mount *m)
{
    if (b->spec->shm_size > 0 && str_eq(m->target, SHM)) {
        AUTO(mem_free)
        char *o = str_printf("nosuid,mode=1777,size=%llu", (unsigned long long)b->spec->shm_size);
        return options(o); /* programs in it can be run, as in every tmpfs that was asked for */
    }
    if (str_eq(m->target, PTS) && has_group(b, TTY_GID)) {
        AUTO(mem_free) char *o = str_printf("%s,gid=%d", m->options, TTY_GID);
        return options(o);
    }
    return options(b->spec->insecure && m->insecure ? m->insecure : m->options);
}

static json_t *base_mount(const struct bundle *b, const struct base_mount *m)
{
    if (b->sys != NULL && str_eq(m->target, SYS))
        return mount_object(SYS, "bind", b->sys, options("rbind,rprivate,nosuid,noexec,nodev,ro"));
    return mount_object(m->target, m->type, m->source, base_options(b, m));
}

static json_t *mounts(const struct bundle *b)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(base_mounts); i++) {
        const struct base_mount *m = &base_mounts[i];
        bool is_hidden = str_eq(m->target, SHM) && has_target(b, SHM);
        if ((!m->needs_cgroup || b->cgroup != NULL) && !is_hidden)
            json_array_append_new(list, base_mount(b, m));
    }
    add_host_file(b, list, b->resolv_conf, b->resolv_conf_target);
    add_host_file(b, list, b->hosts, b->hosts_target);
    for (size_t i = 0; i < b->n_mounts; i++)
        json_array_append_new(list, step_mount(b, &b->mounts[i]));
    return list;
}

static void add_namespace(json_t *list, const char *type)
{
    json_t *ns = json_object();

    json_object_set_new(ns, "type", json_string(type));
    json_array_append_new(list, ns);
}

static json_t *namespaces(const struct bundle *b)
{
    json_t *list = json_array();

    add_namespace(list, "pid");
    add_namespace(list, "ipc");
    add_namespace(list, "uts");
    add_namespace(list, "mount");
    if (b->cgroup != NULL)
        add_namespace(list, "cgroup");
    if (b->spec->network == EXEC_NET_NONE)
        add_namespace(list, "network");
    return list;
}

/* Everything is refused, then the runtime allows the harmless devices that it makes; or nothing is.
 */
static json_t *resources(bool insecure)
{
    json_t *r = json_object();
    json_t *device = json_object();

    json_object_set_new(device, "allow", json_boolean(insecure));
    json_object_set_new(device, "access", json_string("rwm"));
    json_object_set_new(r, "devices", json_array());
    json_array_append_new(json_object_get(r, "devices"), device);
    return r;
}

static json_t *device_object(const char *path, const char *type, int major, int minor)
{
    json_t *d = json_object();

    json_object_set_new(d, "path", json_string(path));
    json_object_set_new(d, "type", json_string(type));
    json_object_set_new(d, "major", json_integer(major));
    json_object_set_new(d, "minor", json_integer(minor));
    json_object_set_new(d, "fileMode", json_integer(0666));
    json_object_set_new(d, "uid", json_integer(0));
    json_object_set_new(d, "gid", json_integer(0));
    return d;
}

static json_t *devices(const struct bundle *b)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(insecure_devices); i++) {
        const struct device *d = &insecure_devices[i];
        json_array_append_new(list, device_object(d->path, "c", d->major, d->minor));
    }
    for (unsigned i = 0; i < b->n_loops; i++) {
        AUTO(mem_free) char *path = str_printf("/dev/loop%u", i);
        json_array_append_new(list, device_object(path, "b", LOOP_MAJOR, (int)i));
    }
    return list;
}

static json_t *linux_part(const struct bundle *b)
{
    json_t *l = json_object();

    json_object_set_new(l, "namespaces", namespaces(b));
    if (b->cgroup != NULL) {
        json_object_set_new(l, "cgroupsPath", json_string(b->cgroup));
        json_object_set_new(l, "resources", resources(b->spec->insecure));
    }
    if (b->spec->insecure) {
        if (b->ns == NULL || b->ns->is_initial) /* no devices are made in others */
            json_object_set_new(l, "devices", devices(b));
        return l;
    }
    json_object_set_new(l, "seccomp", seccomp_profile());
    json_object_set_new(l, "maskedPaths", strings(masked_paths, ARRAY_LEN(masked_paths)));
    json_object_set_new(l, "readonlyPaths", strings(read_only_paths, ARRAY_LEN(read_only_paths)));
    return l;
}

json_t *bundle_config(const struct bundle *b)
{
    json_t *c = json_object();
    json_t *root = json_object();
    const char *hostname = b->spec->hostname ? b->spec->hostname : DEFAULT_HOSTNAME;

    json_object_set_new(root, "path", json_from_str(b->rootfs));
    json_object_set_new(root, "readonly", json_false());
    json_object_set_new(c, "ociVersion", json_string(OCI_VERSION));
    json_object_set_new(c, "process", process(b));
    json_object_set_new(c, "root", root);
    json_object_set_new(c, "hostname", json_from_str(hostname));
    json_object_set_new(c, "mounts", mounts(b));
    json_object_set_new(c, "linux", linux_part(b));
    return c;
}

/* A quote that is not escaped, then a colon: a name of ours, never a part of somebody's text. */
static void write_unlimited(const char *text, struct buf *ret)
{
    static const char *const names[] = { "\"hard\":9223372036854775807",
                                         "\"soft\":9223372036854775807" };

    while (*text != '\0') {
        bool is_limit = str_starts(text, names[0]) || str_starts(text, names[1]);
        size_t n = is_limit ? strlen(names[0]) : 1;
        if (is_limit)
            buf_addf(ret, "%.7s18446744073709551615", text);
        else
            buf_addc(ret, *text);
        text += n;
    }
}

void bundle_write(const struct bundle *b, struct buf *ret)
{
    json_auto_t *config = bundle_config(b);

    if (b->n_ulimits == 0) {
        json_write(config, ret);
        return;
    }
    struct buf text = BUF_INIT;
    json_write(config, &text);
    write_unlimited(buf_str(&text), ret);
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    buf_release(&text);
}
