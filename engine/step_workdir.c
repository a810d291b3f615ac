/* WORKDIR: a directory that exists afterwards, owned by USER when it has to be made. */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "engine/layer_plan.h"
#include <string.h>

static int make_dirs(struct step *s, const struct layer **ret, struct err *err)
{
    struct layer_plan *p = s->arg;
    *ret = plan_make(p, err);
    return *ret == NULL ? err->code : 0;
}

/* The owner of what is made; a user that cannot be resolved yet makes it root's, as in BuildKit. */
static void owner_of(struct state *s, uint32_t *ret_uid, uint32_t *ret_gid)
{
    *ret_uid = *ret_gid = 0;
    if (s->config.user == NULL || s->config.user[0] == '\0')
        return;
    AUTO(user_ids_release) struct user_ids ids = { 0 };
    struct err ignored = ERR_INIT;
    if (view_user(state_view(s), s->config.user, 0, &ids, &ignored) < 0)
        return;
    *ret_uid = ids.uid;
    *ret_gid = ids.gid;
}

static int plan_workdir(struct layer_plan *p, struct state *s, const char *dir, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    size_t missing = 0;
    if (view_resolve(state_view(s), dir, true, &real, &missing, err) < 0)
        return err->code;
    struct entry e;
    if (missing == 0 && plan_find(p, real, &e) && e.type == ENTRY_DIR)
        return 0;
    return plan_dir(p, real, err);
}

int do_workdir(struct build_stage *st, const struct instr *i, struct err *err)
{
    struct state *s = &st->state;
    struct build *b = st->b;
    const char *before = s->config.workdir && *s->config.workdir ? s->config.workdir : "/";
    AUTO(mem_free) char *dir = path_join(before, i->value);
    mem_free(s->config.workdir);
    s->config.workdir = str_dup(dir);
    AUTO(mem_free) char *created_by = str_printf("WORKDIR %s", dir);
    if (str_eq(dir, "/")) {
        state_add_history(s, created_by, false, 0);
        return 0;
    }
    uint32_t uid, gid;
    owner_of(s, &uid, &gid);
    AUTO(plan_free)
    struct layer_plan *p = plan_new(b->store, state_view(s), NULL, uid, gid, b->epoch);
    struct content_id id;
    if (plan_workdir(p, s, dir, err) < 0 || plan_content_id(p, &id, err) < 0)
        return err_at(err, i->line, i->line_end);
    AUTO(key_free) struct key *k = key_new("workdir");
    key_digest(k, "content", &id.d);
    struct step step = {
        .st = st, .i = i, .key = k, .created_by = created_by, .make = make_dirs, .arg = p
    };
    return step_do(&step, err);
}
