// sterna secrets set, list, delete.
#include <fmt/format.h>

#include "api/secret.h"
#include "api/variable_name.h"
#include "cli/commands.h"
#include "cli/hidden_input.h"
#include "cli/pack.h"
#include "cli/report.h"

namespace sterna::cli {
namespace {

Result<std::string> secret_path(const Target& target, std::string_view name) {
  if (const auto wrong = api::variable_name_problem(name); !wrong.empty())
    return bad_usage(fmt::format("{}: {}", name, wrong));
  auto path = space_path(target);
  if (path) *path += fmt::format("/secrets/{}", name);
  return path;
}

Result<std::string> read_value(const SetSecretArgs& args) {
  Result<std::string> value = args.file.empty()
                                  ? read_hidden(fmt::format("Value of {}", args.name), api::kMaxSecretBytes)
                                  : read_file(args.file, api::kMaxSecretBytes + 1);
  if (!value) return value;
  if (const auto wrong = api::secret_value_problem(*value); !wrong.empty())
    return bad_usage(fmt::format("the value of {}: {}", args.name, wrong));
  return value;
}

std::string joined(const api::Json& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name.get<std::string>();
  return text.empty() ? "-" : text;
}

}  // namespace

Result<int> set_secret(const Target& target, const SetSecretArgs& args) {
  const auto path = secret_path(target, args.name);
  if (!path) return std::unexpected(path.error());
  auto value = read_value(args);
  if (!value) return std::unexpected(value.error());
  Api api(target);
  const auto secret = api.upload(*path, "application/octet-stream", std::move(*value));
  return report(target, secret, [&](const api::Json& set) {
    const auto users = set.value("used_by", api::Json::array());
    return users.empty() ? fmt::format("{} is set\n", args.name)
                         : fmt::format("{} is set; new workers of: {}\n", args.name, joined(users));
  });
}

Result<int> list_secrets(const Target& target) {
  auto path = space_path(target);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  return report_list(target, api.list(*path + "/secrets"), {"NAME", "UPDATED", "USED BY"},
                     [](const api::Json& item) -> Row {
                       return {cell(item, "name"), cell(item, "updated_at"),
                               joined(item.value("used_by", api::Json::array()))};
                     });
}

Result<int> delete_secret(const Target& target, std::string_view name, DeleteSecret mode) {
  auto path = secret_path(target, name);
  if (!path) return std::unexpected(path.error());
  if (mode == DeleteSecret::kAlsoUsed) *path += "?force=true";
  Api api(target);
  return report_deleted(target, api.send("DELETE", *path), name, fmt::format("{} is deleted\n", name));
}

}  // namespace sterna::cli
