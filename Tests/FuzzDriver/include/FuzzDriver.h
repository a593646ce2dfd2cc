#include <stddef.h>
#include <stdint.h>

// libFuzzer's own entry point, for programs that have a main.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one_input)(const uint8_t *bytes, size_t count));
