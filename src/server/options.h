// The one table of options. File keys, STERNA_* variables, flags, --print-config, and docs/configuration.md
// come from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "server/config.h"

namespace sterna::server {

struct Number {
  std::uint64_t& (*field)(Config&);
  std::uint64_t min;
  std::uint64_t max;
};
struct Decimal {
  double& (*field)(Config&);
  double min;
  double max;
};
struct Seconds {
  std::chrono::milliseconds& (*field)(Config&);
  std::chrono::milliseconds min;
  std::chrono::milliseconds max;
};
struct Switch {
  bool& (*field)(Config&);
};
// Why a value is refused; empty when it is good.
using Check = std::string (*)(const std::string& value);
struct Text {
  std::string& (*field)(Config&);
  std::string_view form;  // what it is, e.g. "a URL"; it may be empty
  Check check;            // of one that is not empty
};
struct Path {
  std::filesystem::path& (*field)(Config&);
};
struct Words {
  std::vector<std::string>& (*field)(Config&);
  std::string_view form;  // what they are, e.g. "paths"
  std::size_t least;      // how many there must be
  Check check = nullptr;  // of each
};
struct HostPort {
  Address& (*field)(Config&);
};
struct Choice {
  std::uint8_t (*get)(const Config&);
  void (*set)(Config&, std::uint8_t);
  std::span<const std::string_view> words;  // by value of the enum
};

struct Option {
  std::string_view key;  // with its section: "limits.queue_length"
  std::variant<Number, Decimal, Seconds, Switch, Text, Path, Words, HostPort, Choice> kind;
  std::string_view help;
};

std::span<const Option> options();
const Option* find_option(std::string_view key);

// "limits.queue_length" -> "STERNA_QUEUE_LENGTH", "--queue-length". Those of builds keep their section:
// "build.memory_mb" -> "STERNA_BUILD_MEMORY_MB", "--build-memory-mb".
std::string variable_of(const Option& option);
std::string flag_of(const Option& option);

// What a value looks like: "host:port", "text|json", "number 1..64", ...
std::string form_of(const Option& option);

// Fails with invalid, reason `bad_config`: what was wrong and what is accepted.
Status set_option(const Option& option, Config& config, const Setting& setting);
// The value as TOML.
std::string show_option(const Option& option, const Config& config);

// The table of docs/configuration.md.
std::string options_markdown();

}  // namespace sterna::server
