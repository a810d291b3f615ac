#include "tests/unit/unit.h"

#include "exec/foreign.h"
#include <elf.h>
#include <string.h>

static void a_program_is_known_for_every_architecture_that_images_have(void **state UNUSED)
{
    static const struct {
        const char *arch;
        unsigned machine, data;
    } rows[] = { { "amd64", EM_X86_64, ELFDATA2LSB },  { "386", EM_386, ELFDATA2LSB },
                 { "arm64", EM_AARCH64, ELFDATA2LSB }, { "arm", EM_ARM, ELFDATA2LSB },
                 { "riscv64", EM_RISCV, ELFDATA2LSB }, { "ppc64le", EM_PPC64, ELFDATA2LSB },
                 { "s390x", EM_S390, ELFDATA2MSB },    { "mips64le", EM_MIPS, ELFDATA2LSB } };
    unsigned char p[256];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = foreign_program(rows[i].arch, p);
        assert_true(n > sizeof(Elf32_Ehdr) && n <= sizeof(p));
        assert_memory_equal(p, ELFMAG, SELFMAG);
        assert_int_equal(p[EI_DATA], rows[i].data);
        bool big = rows[i].data == ELFDATA2MSB;
        assert_int_equal(p[big ? 19 : 18] | p[big ? 18 : 19] << 8, rows[i].machine);
    }
    assert_int_equal(foreign_program("vax", p), 0);
}

static void this_machine_runs_its_own_programs(void **state UNUSED)
{
    struct platform host = platform_host(), unsaid = { .os = "" };
    struct err err = ERR_INIT;
    assert_ok(foreign_check(&host, &err), &err);
    assert_ok(foreign_check(&unsaid, &err), &err);
}

static void another_operating_system_is_refused_in_words(void **state UNUSED)
{
    struct platform p = platform_host();
    struct err err = ERR_INIT;
    strcpy(p.os, "windows");
    assert_int_equal(foreign_check(&p, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "cannot run commands of windows/"));
    assert_non_null(strstr(err.msg, "another operating system"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_known_for_every_architecture_that_images_have),
        cmocka_unit_test(this_machine_runs_its_own_programs),
        cmocka_unit_test(another_operating_system_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
