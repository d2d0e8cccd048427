#include "api/secret.h"

#include "api/base64.h"
#include "api/object_reader.h"
#include "api/utf8.h"

namespace sterna::api {
namespace {

constexpr std::string_view kText = "value";
constexpr std::string_view kBytes = "value_base64";

void read_text(ObjectReader& reader, const Json& value, std::string& out) {
  if (!value.is_string()) return reader.error(kText, "must be a string");
  out = value.get<std::string>();
}

void read_bytes(ObjectReader& reader, const Json& value, std::string& out) {
  if (!value.is_string()) return reader.error(kBytes, "must be a string");
  Result<std::string> bytes = base64_decode(value.get_ref<const std::string&>());
  if (!bytes) return reader.error(kBytes, "must be base64");
  out = std::move(*bytes);
}

}  // namespace

std::string secret_value_problem(std::string_view value) {
  if (value.size() <= kMaxSecretBytes) return {};
  return "at most " + std::to_string(kMaxSecretBytes) + " bytes";
}

Validated<std::string> parse_secret(const Json& json) {
  FieldErrors errors;
  ObjectReader reader(json, "", errors);
  std::string value;
  const Json* text = reader.find(kText);
  const Json* bytes = reader.find(kBytes);
  if ((text == nullptr) == (bytes == nullptr)) {
    reader.error(kText, "send it as text, or bytes as value_base64");
  } else if (text != nullptr) {
    read_text(reader, *text, value);
  } else {
    read_bytes(reader, *bytes, value);
  }
  if (std::string problem = secret_value_problem(value); !problem.empty())
    reader.error(text != nullptr ? kText : kBytes, std::move(problem));
  reader.finish();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return value;
}

bool is_variable_text(std::string_view value) {
  return !value.contains('\0') && is_utf8(value);
}

}  // namespace sterna::api
