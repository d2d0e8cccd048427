#include "api/space.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "api/object_reader.h"
#include "base/names.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxCallbackTargets = 200;

bool is_address(const std::string& text, int family) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(family, text.c_str(), bytes.data()) == 1;
}

// An IPv4 or IPv6 address, with or without the length of a prefix.
bool is_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  const bool v4 = is_address(address, AF_INET);
  if (!v4 && !is_address(address, AF_INET6)) return false;
  if (slash == std::string_view::npos) return true;
  const std::string_view digits = text.substr(slash + 1);
  int bits = -1;
  const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  return code == std::errc() && stop == digits.data() + digits.size() && bits >= 0 && bits <= (v4 ? 32 : 128);
}

bool is_host_name(std::string_view text) {
  constexpr std::size_t kMaxHostName = 253;
  if (text.empty() || text.size() > kMaxHostName) return false;
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_valid_name(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// "10.1" and "1.2.3.4.5" are neither addresses nor names that a resolver should see.
bool is_all_numeric(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

void read_callback_allow(ObjectReader& reader, std::vector<std::string>& out) {
  const Json* list = reader.find("callback_allow");
  if (list == nullptr) return;
  if (!list->is_array() || list->size() > kMaxCallbackTargets) {
    return reader.error("callback_allow", "must be an array of at most 200 networks or host names");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& value = (*list)[i];
    const std::string text = value.is_string() ? value.get<std::string>() : "";
    if (!is_network(text) && (!is_host_name(text) || is_all_numeric(text))) {
      reader.error("callback_allow[" + std::to_string(i) + "]",
                   "must be a network such as 10.0.0.0/8, an address, or a lower-case host name");
    }
    out.push_back(text);
  }
}

}  // namespace

Validated<SpaceSpec> parse_space(const Json& json) {
  SpaceSpec spec;
  FieldErrors errors;
  ObjectReader reader(json, "", errors);
  if (!json.is_object()) return std::unexpected(std::move(errors));
  const Json* name = reader.find("name");
  if (name == nullptr) {
    reader.error("name", "is required");
  } else if (!name->is_string() || !is_valid_name(name->get_ref<const std::string&>())) {
    reader.error("name", std::string(kNameRule));
  } else {
    spec.name = name->get<std::string>();
  }
  read_callback_allow(reader, spec.callback_allow);
  reader.ignore("created_at");
  reader.finish();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return spec;
}

OrderedJson to_json(const SpaceSpec& spec) {
  return {{"name", spec.name}, {"callback_allow", spec.callback_allow}};
}

OrderedJson to_json(const SpaceSpec& spec, WallTime created_at) {
  OrderedJson json = to_json(spec);
  json["created_at"] = format_rfc3339(created_at);
  return json;
}

}  // namespace sterna::api
