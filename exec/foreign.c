#include "exec/foreign.h"

#include "base/fs.h"
#include "base/log.h"
#include <elf.h>
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOADED_AT 0x400000

/* A program that ends with status 0; words as the machine reads them. */
static const struct program {
    const char *arch;
    uint16_t machine;
    bool is_32, is_big;
    uint32_t flags;
    unsigned char code[16];
    unsigned char code_len;
} programs[] = {
    /* xor edi, edi; push 60; pop rax; syscall */
    { "amd64", EM_X86_64, false, false, 0, { 0x31, 0xff, 0x6a, 0x3c, 0x58, 0x0f, 0x05 }, 7 },
    /* xor ebx, ebx; xor eax, eax; inc eax; int 0x80 */
    { "386", EM_386, true, false, 0, { 0x31, 0xdb, 0x31, 0xc0, 0x40, 0xcd, 0x80 }, 7 },
    /* mov x0, 0; mov x8, 93; svc 0 */
    { "arm64",
      EM_AARCH64,
      false,
      false,
      0,
      { 0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4 },
      12 },
    /* mov r0, 0; mov r7, 1; svc 0 */
    { "arm",
      EM_ARM,
      true,
      false,
      0x05000000,
      { 0, 0, 0xa0, 0xe3, 1, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef },
      12 },
    /* li a0, 0; li a7, 93; ecall */
    { "riscv64",
      EM_RISCV,
      false,
      false,
      0,
      { 0x13, 5, 0, 0, 0x93, 8, 0xd0, 5, 0x73, 0, 0, 0 },
      12 },
    /* li r3, 0; li r0, 1; sc */
    { "ppc64le",
      EM_PPC64,
      false,
      false,
      2,
      { 0, 0, 0x60, 0x38, 1, 0, 0, 0x38, 2, 0, 0, 0x44 },
      12 },
    /* lghi r2, 0; svc 1 */
    { "s390x", EM_S390, false, true, 0, { 0xa7, 0x29, 0, 0, 0x0a, 1 }, 6 },
    /* li a0, 0; li v0, 5058; syscall */
    { "mips64le",
      EM_MIPS,
      false,
      false,
      0x80000007,
      { 0, 0, 4, 0x24, 0xc2, 0x13, 2, 0x24, 0x0c, 0, 0, 0 },
      12 },
    { "mips64",
      EM_MIPS,
      false,
      true,
      0x80000007,
      { 0x24, 4, 0, 0, 0x24, 2, 0x13, 0xc2, 0, 0, 0, 0x0c },
      12 },
    /* addi.w a0, zero, 0; addi.w a7, zero, 93; syscall 0 */
    { "loong64",
      258,
      false,
      false,
      0x43,
      { 4, 0, 0x80, 2, 0x0b, 0x74, 0x81, 2, 0, 0, 0x2b, 0 },
      12 },
};

/* Numbers of ELF structures, written one after another. */
struct elf_out {
    const struct program *of;
    unsigned char *p;
    size_t n;
};

static void put(struct elf_out *o, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        o->p[o->n++] = (unsigned char)(value >> 8 * (o->of->is_big ? size - 1 - i : i));
}

/* Of the size of an address. */
static void put_word(struct elf_out *o, uint64_t value)
{
    put(o, value, o->of->is_32 ? 4 : 8);
}

static void put_header(struct elf_out *o, size_t head)
{
    const struct program *of = o->of;
    const unsigned char ident[EI_NIDENT] = { ELFMAG0,
                                             ELFMAG1,
                                             ELFMAG2,
                                             ELFMAG3,
                                             of->is_32 ? ELFCLASS32 : ELFCLASS64,
                                             of->is_big ? ELFDATA2MSB : ELFDATA2LSB,
                                             EV_CURRENT };
    memcpy(o->p, ident, sizeof(ident));
    o->n = sizeof(ident);
    put(o, ET_EXEC, 2);
    put(o, of->machine, 2);
    put(o, EV_CURRENT, 4);
    put_word(o, LOADED_AT + head);
    put_word(o, of->is_32 ? sizeof(Elf32_Ehdr) : sizeof(Elf64_Ehdr));
    put_word(o, 0);
    put(o, of->flags, 4);
    put(o, of->is_32 ? sizeof(Elf32_Ehdr) : sizeof(Elf64_Ehdr), 2);
    put(o, of->is_32 ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr), 2);
    put(o, 1, 2);
    put(o, 0, 6); /* no sections */
}

/* All of the file is one segment. */
static void put_segment(struct elf_out *o, size_t size)
{
    put(o, PT_LOAD, 4);
    if (!o->of->is_32)
        put(o, PF_R | PF_X, 4);
    put_word(o, 0);
    put_word(o, LOADED_AT);
    put_word(o, LOADED_AT);
    put_word(o, size);
    put_word(o, size);
    if (o->of->is_32)
        put(o, PF_R | PF_X, 4);
    put_word(o, 0x10000);
}

size_t foreign_program(const char *arch, unsigned char ret[256])
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const struct program *of = &programs[i];
        if (strcmp(arch, of->arch) != 0)
            continue;
        size_t head = of->is_32 ? sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr)
                                : sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
        struct elf_out o = { .of = of, .p = ret };
        put_header(&o, head);
        put_segment(&o, head + of->code_len);
        memcpy(ret + o.n, of->code, of->code_len);
        return o.n + of->code_len;
    }
    return 0;
}

/* What the kernel says to it: 0 or an errno. How it ends says nothing of the kernel. */
static int try_program(const unsigned char *program, size_t n, struct err *err)
{
    char path[64];
    char *argv[] = { path, NULL }, *env[] = { NULL };
    pid_t pid;
    int status;
    AUTO(fd_close) int fd = memfd_create("shale-foreign", 0); /* an interpreter opens it again */
    if (fd < 0 || fd_write_full(fd, program, n, err) < 0)
        return ENOSYS;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rc = posix_spawn(&pid, path, NULL, NULL, argv, env);
    if (rc == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    return rc;
}

bool foreign_runs(const struct platform *p)
{
    unsigned char program[256];
    struct err ignored = ERR_INIT;
    struct platform host = platform_host();
    if (p->os[0] != '\0' && strcmp(p->os, host.os) != 0)
        return false;
    if (p->arch[0] == '\0' || strcmp(p->arch, host.arch) == 0)
        return true;
    size_t n = foreign_program(p->arch, program);
    int rc = n > 0 ? try_program(program, n, &ignored) : 0;
    log_debug("exec", "a program for %s: %s", p->arch, rc == 0 ? "runs" : strerror(rc));
    return rc != ENOEXEC;
}

int foreign_check(const struct platform *p, struct err *err)
{
    char wanted[64], own[64];
    struct platform host = platform_host();
    if (foreign_runs(p))
        return 0;
    platform_format(p, wanted);
    platform_format(&host, own);
    if (strcmp(p->os, host.os) != 0)
        return err_set(
            err, ERR_UNSUPPORTED,
            "cannot run commands of %s: this machine is %s, and nothing emulates another "
            "operating system",
            wanted, own);
    return err_set(
        err, ERR_UNSUPPORTED,
        "cannot run commands of %s: this machine is %s, and its kernel has no handler for "
        "that (binfmt_misc); install qemu-user-static and binfmt-support, or give the "
        "stage FROM --platform=$BUILDPLATFORM if it can make files for %s here",
        wanted, own, wanted);
}
