// Reads one JSON object field by field and gathers everything that is wrong with it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "api/json.h"
#include "api/validation.h"
#include "base/clock.h"

namespace sterna::api {

// "a" inside "limits" is "limits.a"; at the top it is "a".
std::string join_field(std::string_view parent, std::string_view name);
void add_error(FieldErrors& errors, std::string field, std::string message);

// Absent fields leave the target as it is; null counts as absent, since null in a merge patch means "the
// default".
class ObjectReader {
 public:
  // `object` and `errors` must outlive the reader. What is no object is reported, and then has no fields.
  ObjectReader(const Json& object, std::string path, FieldErrors& errors);

  // The field's value, or nullptr; from then on the field is known.
  const Json* find(std::string_view key);
  void ignore(std::string_view key) { known_.emplace(key); }

  void text(std::string_view key, std::string& out, std::size_t max_bytes);
  void boolean(std::string_view key, bool& out);
  void integer(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max);
  void number(std::string_view key, double& out, double min, double max);
  // A number of seconds.
  void seconds(std::string_view key, Duration& out, double min, double max);

  // Reports every field that nobody asked for.
  void finish();

  void error(std::string_view key, std::string message) {
    add_error(errors_, join_field(path_, key), std::move(message));
  }

 private:
  const Json& object_;
  std::string path_;
  FieldErrors& errors_;
  std::set<std::string, std::less<>> known_;
};

// A whole number, also written as 4.0; false when it is none or out of range.
bool read_integer(const Json& value, std::int64_t min, std::int64_t max, std::int64_t& out);

}  // namespace sterna::api
