// The few functions of the CUDA driver that are used, found at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "sortnet_cuda.h"

namespace sn {

// Declared as in the driver's C ABI; under the names that have not changed since
// CUDA 11.2.
struct Driver {
  int (*init)(unsigned);
  int (*device_count)(int *);
  int (*device_attribute)(int *, int, int);
  int (*current_context)(void **);
  int (*set_context)(void *);
  int (*retain_context)(void **, int);
  int (*pointer_attribute)(void *, int, uint64_t);
  int (*context_device)(int *);
  int (*module_load)(void **, const void *);
  int (*module_function)(void **, void *, const char *);
  int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                void *, void **, void **);
  int (*pool_create)(void **, const void *);
  int (*pool_set)(void *, int, void *);
  int (*alloc)(uint64_t *, size_t, void *, void *);
  int (*free)(uint64_t, void *);
  int (*alloc_now)(uint64_t *, size_t);
  int (*free_now)(uint64_t);
  int (*copy_to)(uint64_t, const void *, size_t);
  int (*synchronize)(void *);
  int (*fill8)(uint64_t, unsigned char, size_t, void *);
  int (*fill32_2d)(uint64_t, size_t, unsigned, size_t, size_t, void *);
  int (*error_string)(int, const char **);
};

// A failed call: the status to return and the sentence for sn_cuda_last_error.
struct Failure {
  sn_status status;
  std::string message;
};

// The driver, opened and initialised once. Throws Failure.
const Driver &driver();

// Throws Failure when a driver call returned an error.
void check(int result, const char *what);

// Opens the first of `names` that exists; null if none does, `error` then says why.
void *open_library(const char *const *names, std::string *error);
void *find_symbol(void *library, const char *name);

}  // namespace sn
