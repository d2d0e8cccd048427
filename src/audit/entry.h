// What the audit log keeps of one management call.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace sterna::audit {

// Never holds a body, a query, or a token: what is secret is in none of its fields.
struct Entry {
  std::string id;  // a ULID, which orders them; made by `record`
  WallTime at;     // set by `record`
  std::string space;
  std::string app;       // id; empty: access was not checked
  std::string app_name;  // as it was called then
  std::string address;   // of the client
  std::string method;
  std::string path;
  int status = 0;
  std::string reason;  // of a refusal or failure; else empty
  // Not 0: it stands for so many failures of the app within a minute, of which it is the first.
  std::int64_t left_out = 0;

  bool has_failed() const {
    constexpr int kFirstFailure = 400;
    return status >= kFirstFailure;
  }
};

}  // namespace sterna::audit
