// Reads sterna.toml: only flattens it; what the values mean is decided by the table of options.
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "api/toml.h"
#include "server/config.h"
#include "server/options.h"

namespace sterna::server {
namespace {

struct FileReader {
  std::string file;
  std::vector<Setting> settings;
  std::string failure;  // the first one

  std::string place(const toml::node& node) const {
    return fmt::format("{} line {}", file, node.source().begin.line);
  }

  void fail_at(const toml::node& node, std::string_view what) {
    if (failure.empty()) failure = fmt::format("{}: {}", place(node), what);
  }

  void read_table(const toml::table& table, const std::string& prefix) {
    for (const auto& [name, node] : table) {
      const std::string key = prefix + std::string(name.str());
      if (const auto* inner = node.as_table()) {
        read_table(*inner, key + ".");
      } else if (find_option(key) == nullptr) {
        fail_at(node, fmt::format("unknown key {}; docs/configuration.md lists the keys", key));
      } else {
        settings.push_back({key, read_values(node, key), fmt::format("{}: {}", place(node), key)});
      }
    }
  }

  std::vector<std::string> read_values(const toml::node& node, const std::string& key) {
    std::vector<std::string> values;
    if (const auto* array = node.as_array()) {
      for (const auto& item : *array) values.push_back(read_scalar(item, key));
    } else {
      values.push_back(read_scalar(node, key));
    }
    return values;
  }

  std::string read_scalar(const toml::node& node, const std::string& key) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
    if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
    if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
    fail_at(node, fmt::format("{} must be text, a number, true or false", key));
    return {};
  }
};

}  // namespace

Result<std::vector<Setting>> read_settings_file(const std::filesystem::path& file) {
  const auto bad_config = [](std::string detail) {
    return fail(Code::kInvalid, Component::kGateway, "bad_config", std::move(detail));
  };
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return bad_config(fmt::format("{}: {}", file.native(), std::strerror(errno)));
  std::string text;
  std::array<char, 4096> part{};
  while (stream.read(part.data(), part.size()), stream.gcount() > 0)
    text.append(part.data(), static_cast<std::size_t>(stream.gcount()));
  if (stream.bad())
    return bad_config(fmt::format("{}: {}", file.native(), std::strerror(errno)));  // a folder, say
  const auto parsed = api::parse_toml(text, file.native());
  if (!parsed) return bad_config(parsed.error().detail);
  FileReader reader{.file = file.native(), .settings = {}, .failure = {}};
  reader.read_table(*parsed, "");
  if (!reader.failure.empty()) return bad_config(reader.failure);
  return std::move(reader.settings);
}

}  // namespace sterna::server
