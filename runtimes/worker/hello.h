// The frames a worker begins with: READY or LOAD_FAILED (wire/PROTOCOL.md).
#pragma once

#include <string>
#include <string_view>

namespace sterna::worker {

// `runtime` as users see it, e.g. "python 3.11.2"; `async`: many calls run at a time unless the user says.
void append_ready(std::string& out, std::string_view runtime, bool async);

// `summary` becomes the function's status reason: one line that says what to do. `detail` goes to its log.
void append_load_failed(std::string& out, std::string_view summary, std::string_view detail);

}  // namespace sterna::worker
