/*
 * Stable times: a file that a COPY or ADD brings again keeps the time that it
 * had in the image of the last build, whatever time a checkout gave it since.
 * What a RUN made of it (.pyc files, the index of git, the logs of ninja)
 * names that time, and a RUN that is reused is not run to name another.
 *
 * It is the same file when path, mode, owner, content, link and xattrs are as
 * they were; a directory also has to have the same names in it, since that is
 * what its time tells. Files with several names are left alone. Nothing is
 * kept without the cache or with --trace=off, and nothing where SOURCE_DATE_EPOCH says what times
 * are. What is not older than every file that did change takes its new time as well: make goes by
 * which of two files is the newer one.
 */
#ifndef SHALE_ENGINE_KEEP_TIMES_H
#define SHALE_ENGINE_KEEP_TIMES_H

struct step;
struct layer_plan;

/* Before the step's layer is made of p: finds the layer of the build before. */
void keep_times(const struct step *s, struct layer_plan *p);

#endif
