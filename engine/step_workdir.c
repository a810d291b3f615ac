/* WORKDIR: a directory that exists afterwards, owned by USER when it has to be made. */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "engine/layer_plan.h"
#include "engine/owner.h"
#include <string.h>

static int make_dirs(struct step *s, const struct layer **ret, struct err *err)
{
    struct layer_plan *p = s->arg;
    *ret = plan_make(p, err);
    return *ret == NULL ? err->code : 0;
}

/* step_ops */
static struct listing *foresee_dirs(struct step *s, struct err *err)
{
    return plan_listing(s->arg, err);
}

static const struct step_ops workdir_ops = { .kind = "workdir", .foresee = foresee_dirs };

/* The owner of what is made. A user that the image does not have makes it root's, as in BuildKit.
 */
static int owner_of(struct state *s, struct owner *ret, struct err *err)
{
    *ret = (struct owner){ 0 };
    const char *user = s->config.user;
    if (user == NULL || *user == '\0')
        return 0;
    if (s->n_layers == 0 && owner_has_names(user))
        return err_set(err, ERR_USAGE,
                       "USER %s: there is no user or group of that name in an empty image", user);
    return owner_resolve(state_view(s), user, ret, NULL, err);
}

static int plan_workdir(struct layer_plan *p, struct state *s, const char *dir, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    size_t missing = 0;
    AUTO(mem_free) char *clean = path_clean(dir);
    if (view_resolve(state_view(s), clean, true, &real, &missing, err) < 0)
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
    /* an absolute one stands in the configuration as it was written */
    AUTO(mem_free) char *dir = i->value[0] == '/' ? str_dup(i->value) : path_join(before, i->value);
    mem_free(s->config.workdir);
    s->config.workdir = str_dup(dir);
    AUTO(mem_free) char *created_by = str_printf("WORKDIR %s", dir);
    if (str_eq(dir, "/")) {
        state_add_history(s, created_by, false, 0);
        return 0;
    }
    if (s->undecided != NULL) {
        step_undecided(st, i, s->undecided);
        return 0;
    }
    struct owner owner;
    if (owner_of(s, &owner, err) < 0)
        return err_at(err, i->line, i->line_end);
    AUTO(plan_free)
    struct layer_plan *p = plan_new(b->store, state_view(s), owner.uid, owner.gid, b->epoch);
    struct content_id id;
    if (plan_workdir(p, s, dir, err) < 0 || plan_content_id(p, &id, err) < 0)
        return err_at(err, i->line, i->line_end);
    AUTO(key_free) struct key *k = key_new("workdir");
    key_digest(k, "content", &id.d);
    struct step step = { .st = st,
                         .i = i,
                         .key = k,
                         .created_by = created_by,
                         .make = make_dirs,
                         .arg = p,
                         .ops = &workdir_ops,
                         .times = { .all = true } };
    return step_do(&step, err);
}
