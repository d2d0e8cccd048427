// For tests: one run of the program with what it printed.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cli/program.h"

namespace sterna::cli {

struct Ran {
  int status;
  std::string out;
  std::string err;
};

inline Ran run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "sterna");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Program program;
  const int status = program.run(static_cast<int>(arguments.size()), arguments.data());
  std::fflush(stdout);
  return {status, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

}  // namespace sterna::cli
