/* What the fuzz targets share: LLVMFuzzerTestOneInput is each one's only function. */
#ifndef SHALE_TESTS_FUZZ_FUZZ_H
#define SHALE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
