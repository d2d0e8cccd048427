#include "cli/limit_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <ranges>

#include "api/quota.h"
#include "cli/api_client.h"

namespace sterna::cli {
namespace {

struct Key {
  std::string_view name;
  std::string_view object;  // the field that it stands in
};

// What apps and spaces have.
constexpr std::array kRates = {"requests_per_second", "burst", "bytes_per_second"};

std::vector<Key> keys_of(LimitsOf owner) {
  std::vector<Key> keys;
  keys.reserve(kRates.size() + std::size(api::kQuotaFields));
  for (const std::string_view name : kRates) keys.push_back({name, "rate_limit"});
  if (owner == LimitsOf::kApp) return keys;
  for (const api::QuotaField& field : api::kQuotaFields) keys.push_back({field.name, "quota"});
  return keys;
}

std::string names_of(const std::vector<Key>& keys) {
  return fmt::format("{}", fmt::join(keys | std::views::transform(&Key::name), ", "));
}

Result<api::Json> value_of(const std::string& word, const std::string& text) {
  if (text == "default") return nullptr;
  if (text == "none") return 0;
  const auto number = api::parse_json(text);
  if (!number || !number->is_number())
    return bad_usage(fmt::format("{}: the value is a number, none (no limit), or default", word));
  return number;
}

}  // namespace

Result<api::Json> limit_fields(const std::vector<std::string>& words, LimitsOf owner) {
  const std::vector<Key> keys = keys_of(owner);
  api::Json fields = api::Json::object();
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const auto key = std::ranges::find(keys, std::string_view(word).substr(0, equals), &Key::name);
    if (equals == std::string::npos || key == keys.end())
      return bad_usage(fmt::format("{}: write KEY=VALUE, with one of: {}", word, names_of(keys)));
    auto value = value_of(word, word.substr(equals + 1));
    if (!value) return value;
    fields[std::string(key->object)][std::string(key->name)] = std::move(*value);
  }
  return fields;
}

}  // namespace sterna::cli
