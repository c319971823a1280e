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

// While it lives, a context of the device that holds `memory` is current on this thread: the one that
// is, or else that device's primary one, which frameworks use. A fresh thread of a framework that sets
// contexts up late has none; one may also have another device's.
class DeviceGuard {
 public:
  explicit DeviceGuard(const void *memory);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard &) = delete;
  DeviceGuard &operator=(const DeviceGuard &) = delete;

 private:
  void *before_ = nullptr;
  bool changed_ = false;
};

// The kernel `name` of a program in the current context. Throws Failure.
void *kernel(Variant variant, const char *name);

// The memory pool of the current context's device.
void *memory_pool();

void set_nvrtc(const char *library);

}  // namespace sn
