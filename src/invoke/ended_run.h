// What those who watch a function see of each of its runs as it ends.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "invoke/timings.h"

namespace sterna::invoke {

struct FunctionEntry;

struct EndedRun {
  std::string_view call_id;
  std::string_view instance;  // empty: no worker had it
  std::uint32_t version = 0;  // 0: no worker had it
  std::string_view method;
  std::string_view path;    // as the function saw it
  std::string_view query;   // without '?'
  unsigned status = 0;      // of the answer; 0: the caller was gone, there is none
  std::string_view reason;  // why the function gave no whole answer; empty: it gave one
  Timings timings;
};

struct RunWatch {
  // Asked at the end of every run: must be quick.
  std::function<bool(const std::string& function_id)> wanted = [](const std::string&) { return false; };
  std::function<void(const FunctionEntry&, const EndedRun&)> ended;
};

}  // namespace sterna::invoke
