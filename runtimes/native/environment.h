// The environment of user code: the function's variables and a few of ours, nothing of the server's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/init.h"

namespace sterna::native {

class Environment {
 public:
  Environment() = default;
  explicit Environment(const Init& init);

  void set(std::string_view name, std::string_view value);
  // Only when there is none of that name.
  void set_default(std::string_view name, std::string_view value);
  // Empty when there is none.
  std::string_view get(std::string_view name) const;

  // Replaces `$NAME` and `${NAME}` by the variable's value and `$$` by `$`. Every other `$` stays. Fails with
  // invalid, reason `command_unusable`, when there is no such variable, saying what to do.
  Result<std::string> expand(std::string_view word) const;

  // For exec: pointers into this object, ended by a null pointer. Valid until the next `set`.
  std::vector<char*> pointers() const;

 private:
  std::optional<std::string_view> find(std::string_view name) const;

  std::vector<std::string> entries_;  // NAME=value
};

// Where a program is, as execvp finds it: by its path when there is a slash in it, else in PATH. Fails with
// invalid, reason `command_missing`, saying what to do.
Result<std::string> find_program(const std::string& name, const Environment& environment);

}  // namespace sterna::native
