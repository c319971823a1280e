// The device programs: compiled for the current device on first use, kept on disk.
#pragma once

#include <string>

#include "driver.h"

namespace sn {

// Which program: its compile-time constants (device/program.cu).
struct Variant {
  int program;    // 0 base, 1 powers, 2 sort
  int parameter;  // SN_P or SN_TOPK
};

// Makes sure that a context is current: a thread that has none yet (a fresh thread of a framework
// that sets contexts up late) gets the primary one of the device that holds `memory`.
void ensure_context(const void *memory);

// The kernel `name` of a program in the current context. Throws Failure.
void *kernel(Variant variant, const char *name);

// The memory pool of the current context's device.
void *memory_pool();

void set_nvrtc(const char *library);

}  // namespace sn
