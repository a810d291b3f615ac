/*
 * Control groups of steps: "shale-...", made by the runtime inside the group
 * that this process is in, so that limits on a build hold for its steps. The
 * runtime removes them; these calls do where it could not.
 */
#ifndef SHALE_EXEC_CGROUP_INTERNAL_H
#define SHALE_EXEC_CGROUP_INTERNAL_H

#include <stdbool.h>

/*
 * The name of a group and of its container, owned: "shale-<PID namespace>-<work>.<run>", work as
 * work_name gives it.
 */
char *cgroup_name(const char *work, const char *run);

/*
 * cgroupsPath of a runtime's specification for the group name, owned. With the older hierarchies
 * beside each other one absolute path cannot say "inside our own" for each: then it is relative,
 * for runtimes that understand that (knows_relative), else at the hierarchies' roots.
 */
char *cgroup_path(const char *name, bool knows_relative);
/* The group name inside parent, as a path from the hierarchies' root, owned; it stays below that.
 */
char *cgroup_path_in(const char *parent, const char *name);
/*
 * The group of this name, wherever cgroup_path puts it, or of this path; what has processes stays.
 * True: it is gone.
 */
bool cgroup_remove(const char *name);
/*
 * Groups whose maker is dead: "shale-<PID namespace>-<anything>-<pid>-<n>.<anything>". Those of
 * another PID namespace stay, as nobody here can tell whether their maker lives. parent: a further
 * group to look in, or NULL.
 */
void cgroup_remove_dead(const char *parent);

#endif
