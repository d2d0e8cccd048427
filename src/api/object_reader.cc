#include "api/object_reader.h"

#include <fmt/format.h>

#include <cmath>

namespace sterna::api {

std::string join_field(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

void add_error(FieldErrors& errors, std::string field, std::string message) {
  constexpr std::size_t kMaxFieldName = 200;
  if (field.size() > kMaxFieldName) field = field.substr(0, kMaxFieldName) + "...";
  if (errors.size() < kMaxFieldErrors) errors.push_back({std::move(field), std::move(message)});
}

bool read_integer(const Json& value, std::int64_t min, std::int64_t max, std::int64_t& out) {
  std::int64_t number = 0;
  if (value.is_number_unsigned()) {
    const auto large = value.get<std::uint64_t>();
    if (large > static_cast<std::uint64_t>(INT64_MAX)) return false;
    number = static_cast<std::int64_t>(large);
  } else if (value.is_number_integer()) {
    number = value.get<std::int64_t>();
  } else if (value.is_number_float()) {
    const auto real = value.get<double>();
    if (real != std::floor(real) || std::abs(real) > 9e15) return false;
    number = static_cast<std::int64_t>(real);
  } else {
    return false;
  }
  if (number < min || number > max) return false;
  out = number;
  return true;
}

ObjectReader::ObjectReader(const Json& object, std::string path, FieldErrors& errors)
    : object_(object), path_(std::move(path)), errors_(errors) {
  if (!object_.is_object()) add_error(errors_, path_.empty() ? "(body)" : path_, "must be an object");
}

const Json* ObjectReader::find(std::string_view key) {
  known_.emplace(key);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void ObjectReader::text(std::string_view key, std::string& out, std::size_t max_bytes) {
  const Json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_string()) return error(key, "must be a string");
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > max_bytes) return error(key, fmt::format("at most {} bytes", max_bytes));
  out = text;
}

void ObjectReader::boolean(std::string_view key, bool& out) {
  const Json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_boolean()) return error(key, "must be true or false");
  out = value->get<bool>();
}

void ObjectReader::integer(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max) {
  const Json* value = find(key);
  if (value != nullptr && !read_integer(*value, min, max, out)) {
    error(key, fmt::format("a whole number from {} to {}", min, max));
  }
}

void ObjectReader::number(std::string_view key, double& out, double min, double max) {
  const Json* value = find(key);
  if (value == nullptr) return;
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(number >= min && number <= max)) return error(key, fmt::format("a number from {} to {}", min, max));
  out = number;
}

void ObjectReader::seconds(std::string_view key, Duration& out, double min, double max) {
  double number = NAN;
  this->number(key, number, min, max);
  if (!std::isnan(number)) out = Duration(std::llround(number * 1e9));
}

void ObjectReader::finish() {
  if (!object_.is_object()) return;
  for (const auto& [key, value] : object_.items()) {
    if (!known_.contains(key)) error(key, "unknown field");
  }
}

}  // namespace sterna::api
