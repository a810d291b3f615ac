#include "engine/entitlement.h"

#include "engine/build_internal.h"

static int not_allowed(const char *name, struct err *err)
{
    return err_set(err, ERR_USAGE, "failed to load LLB: %s is not allowed", name);
}

int entitlement_check_run(const struct build_options *o, const struct instr_run *run,
                          struct err *err)
{
    if (run->insecure && !strv_has(&o->allow, "security.insecure"))
        return not_allowed("security.insecure", err);
    /* --network=host grants it too, as docker build has it. */
    if (run->network == RUN_NETWORK_HOST && !strv_has(&o->allow, "network.host") &&
        !str_eq(o->network, "host"))
        return not_allowed("network.host", err);
    return 0;
}

int entitlement_check(const struct build *b, struct err *err)
{
    for (size_t s = 0; s < b->n_stages; s++) {
        const struct build_stage *st = &b->stages[s];
        for (size_t k = 0; st->needed && !st->replaced && k < st->def->n_instrs; k++) {
            const struct instr *i = st->def->instrs[k];
            if (i->kind == INSTR_RUN && entitlement_check_run(b->o, &i->run, err) < 0)
                return err_at(err, i->line, i->line_end);
        }
    }
    return 0;
}
