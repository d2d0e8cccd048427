// sterna secrets set, list, delete.
#include <fmt/format.h>

#include "api/secret.h"
#include "api/variable_name.h"
#include "cli/commands.h"
#include "cli/hidden_input.h"
#include "cli/pack.h"
#include "cli/text.h"

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
  if (!secret) return std::unexpected(secret.error());
  if (target.json) {
    print_json(*secret);
  } else if (secret->value("used_by", api::Json::array()).empty()) {
    print(fmt::format("{} is set\n", args.name));
  } else {
    print(fmt::format("{} is set; new workers of: {}\n", args.name, joined(secret->at("used_by"))));
  }
  return kExitOk;
}

Result<int> list_secrets(const Target& target) {
  auto path = space_path(target);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  const auto items = api.list(*path + "/secrets");
  if (!items) return std::unexpected(items.error());
  if (target.json) {
    print_json(api::Json{{"data", *items}});
    return kExitOk;
  }
  std::vector<Row> rows = {{"NAME", "UPDATED", "USED BY"}};
  for (const auto& item : *items) {
    rows.push_back(
        {cell(item, "name"), cell(item, "updated_at"), joined(item.value("used_by", api::Json::array()))});
  }
  print(format_table(rows));
  return kExitOk;
}

Result<int> delete_secret(const Target& target, std::string_view name, DeleteSecret mode) {
  auto path = secret_path(target, name);
  if (!path) return std::unexpected(path.error());
  if (mode == DeleteSecret::kAlsoUsed) *path += "?force=true";
  Api api(target);
  if (auto done = api.send("DELETE", *path); !done) return std::unexpected(done.error());
  if (!target.json) print(fmt::format("{} is deleted\n", name));
  return kExitOk;
}

}  // namespace sterna::cli
