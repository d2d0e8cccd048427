#include "api/cors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/number.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxEntries = 100;
constexpr std::size_t kMaxOrigin = 300;
constexpr std::size_t kMaxHeaderName = 128;
constexpr std::int64_t kMaxAge = 86400;
constexpr std::string_view kAll = "*";
constexpr std::array<std::string_view, 5> kMethods = {"GET", "POST", "PUT", "PATCH", "DELETE"};

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_scheme(std::string_view text) {
  return !text.empty() && is_lower(text.front()) && std::ranges::all_of(text, [](char c) {
    return is_lower(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

bool is_host(std::string_view text) {
  if (text.starts_with('[')) {
    return text.size() > 2 && text.ends_with(']') &&
           text.find_first_not_of("0123456789abcdef:.", 1) == text.size() - 1;
  }
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
  });
}

// Browsers leave the port of the scheme out, so an origin that names it would never match.
bool is_port(std::string_view scheme, std::string_view text) {
  const auto port = parse_number<std::uint16_t>(text);
  if (!port || *port == 0) return false;
  return !(scheme == "https" && *port == 443) && !(scheme == "http" && *port == 80) && text.front() != '0';
}

bool is_origin(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || !is_scheme(text.substr(0, scheme))) return false;
  std::string_view host = text.substr(scheme + 3);
  const std::size_t colon = host.find(':', host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0);
  if (colon != std::string_view::npos) {
    if (!is_port(text.substr(0, scheme), host.substr(colon + 1))) return false;
    host = host.substr(0, colon);
  }
  return text.size() <= kMaxOrigin && is_host(host);
}

bool is_header_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxHeaderName && std::ranges::all_of(text, [](char c) {
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

bool is_method(std::string_view text) {
  return std::ranges::find(kMethods, text) != kMethods.end();
}

// An array of texts, "*" alone or each of them `good`.
void read_list(ObjectReader& reader, const std::string& key, bool (*good)(std::string_view),
               std::string_view form, std::vector<std::string>& out) {
  const Json* list = reader.find(key);
  if (list == nullptr) return;
  out.clear();
  if (!list->is_array() || list->size() > kMaxEntries)
    return reader.error(key, fmt::format("must be an array of at most {} texts", kMaxEntries));
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& value = (*list)[i];
    const std::string text = value.is_string() ? value.get<std::string>() : std::string();
    if (text == kAll && list->size() > 1) {
      reader.error(fmt::format("{}[{}]", key, i), "* stands alone: it means all");
    } else if (text != kAll && !good(text)) {
      reader.error(fmt::format("{}[{}]", key, i), std::string(form));
    } else {
      out.push_back(text);
    }
  }
}

}  // namespace

bool allows_all(const std::vector<std::string>& list) {
  return list.size() == 1 && list.front() == kAll;
}

bool allows(const Cors& cors, std::string_view origin) {
  return allows_all(cors.allow_origins) ||
         std::ranges::find(cors.allow_origins, origin) != cors.allow_origins.end();
}

void read_cors(ObjectReader& function, std::optional<Cors>& out, FieldErrors& errors) {
  const Json* json = function.find("cors");
  if (json == nullptr) return;
  const std::size_t before = errors.size();
  Cors cors;
  ObjectReader reader(*json, "cors", errors);
  read_list(
      reader, "allow_origins", is_origin,
      "must be * or an origin as browsers send it: https://app.example.com or http://localhost:5173, in "
      "lower case, without a path and without the scheme's own port",
      cors.allow_origins);
  read_list(reader, "allow_methods", is_method, "must be * or one of: GET, POST, PUT, PATCH, DELETE",
            cors.allow_methods);
  read_list(reader, "allow_headers", is_header_name, "must be * or the name of a header", cors.allow_headers);
  read_list(reader, "expose_headers", is_header_name, "must be * or the name of a header",
            cors.expose_headers);
  reader.boolean("allow_credentials", cors.allow_credentials);
  reader.integer("max_age_seconds", cors.max_age_seconds, 0, kMaxAge);
  reader.finish();
  if (json->is_object() && cors.allow_origins.empty() && errors.size() == before)
    reader.error("allow_origins", "must name at least one origin, or *");
  const std::array lists = {
      std::pair{"allow_origins", &cors.allow_origins}, std::pair{"allow_methods", &cors.allow_methods},
      std::pair{"allow_headers", &cors.allow_headers}, std::pair{"expose_headers", &cors.expose_headers}};
  for (const auto& [key, list] : lists) {
    if (cors.allow_credentials && allows_all(*list))
      reader.error(key, "must name each one, not *, when allow_credentials is true");
  }
  out = std::move(cors);
}

OrderedJson to_json(const std::optional<Cors>& cors) {
  if (!cors) return nullptr;
  return {{"allow_origins", cors->allow_origins},         {"allow_methods", cors->allow_methods},
          {"allow_headers", cors->allow_headers},         {"expose_headers", cors->expose_headers},
          {"allow_credentials", cors->allow_credentials}, {"max_age_seconds", cors->max_age_seconds}};
}

}  // namespace sterna::api
